"""Metadata of a TFLite file: class names, colours, and how its input is normalised.

The format is TensorFlow Lite's model metadata, which MediaPipe, the TFLite Task Library, Android
Studio and Netron read: a FlatBuffer (metadata_schema.fbs) among the file's own buffers, and files
appended as a ZIP archive, which interpreters ignore. The schema has no place for colours and for
the ignored label; they are in classes.json, in the same format as beside SavedModels.
"""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
import zlib
from collections.abc import Sequence

import flatbuffers
import tf_keras
from ai_edge_litert import schema_py_generated as schema

from mosaic.models.layers import Normalize
from mosaic.tflite import image_segmenter_schema, metadata_schema, model_file
from mosaic.tflite.metadata_schema import AssociatedFileType, ColorSpaceType
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils import archives, class_names
from mosaic.utils.errors import UserError
from mosaic.utils.run_layout import RECORD
from mosaic.utils.segmentation_dataset import SegmentationDataset

NAME = b"TFLITE_METADATA"
LABELS = "labels.txt"

_IDENTIFIER, _VERSION = b"M001", "1.5.0"
# Beginning of the version in this project's own files; the training step may follow.
_PRODUCER = "mosaic-segmentation"
# Errors that the reader of a damaged archive raises: RuntimeError for an unknown compression or a
# seeming password, EOFError for an early end, OSError for an impossible position.
_ARCHIVE_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError)


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Metadata of a file.

    Attributes:
      classes: names and colours of the classes; None where the file names none.
      normalization: (mean, standard deviation), each with one value per channel or one for all: the
        input stands for (x - mean) / std of RGB values x in 0..255; None where the file does not
        say.
      is_own: whether this project wrote the file.
      steps: number of steps that this project trained its network, if the file says so.
      record: text of the record of its run, if the file says so.
    """

    classes: class_names.Classes | None
    normalization: tuple[Sequence[float], Sequence[float]] | None
    is_own: bool = False
    steps: int | None = None
    record: str | None = None


def add(
    content: bytes,
    model: tf_keras.Model,
    dataset: SegmentationDataset | None = None,
    steps: int | None = None,
    record: str | None = None,
) -> bytes:
    """Returns a TFLite file with metadata.

    Args:
      content: bytes of a TFLite file with one image as input, and logits or labels as output.
      model: network that the file was made from.
      dataset: data set whose class names and colours are added; None leaves them out.
      steps: number of steps that this project trained the network; None where that is not known, or
        others trained it.
      record: text of the record of its run (`mosaic.checkpoints.run_record`); None where that is
        not known.
    """
    parsed = model_file.unpack(content)
    metadata = schema.MetadataT()
    metadata.name = NAME
    metadata.buffer = len(parsed.buffers)
    buffer = schema.BufferT()
    buffer.data = _described(parsed, model, dataset, steps)
    parsed.buffers.append(buffer)
    parsed.metadata = [*(parsed.metadata or []), metadata]
    packed = model_file.pack(parsed)
    texts = {RECORD: record} if record else {}
    if dataset is not None:
        labels = "".join(f"{name}\n" for name in dataset.class_names)
        texts = {LABELS: labels, class_names.FILE: class_names.content(dataset), **texts}
    if not texts:
        return packed
    file = io.BytesIO(packed)
    # Without compression, as MediaPipe requires; without a date, so that files can be compared.
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return file.getvalue()


def _described(parsed, model, dataset, steps: int | None) -> bytes:
    graph = parsed.subgraphs[0]
    source, target = (graph.tensors[indices[0]] for indices in (graph.inputs, graph.outputs))
    is_logits = len(target.shape) == 4
    subgraph = metadata_schema.SubGraphMetadataT()
    subgraph.inputTensorMetadata = [_input(source, model)]
    subgraph.outputTensorMetadata = [_output(is_logits, dataset)]
    if is_logits:
        subgraph.customMetadata = [_segmenter()]
    root = metadata_schema.ModelMetadataT()
    root.name = model.name
    root.description = f"Semantic segmentation of RGB images into {model.output_shape[-1]} classes."
    root.version = _PRODUCER if steps is None else f"{_PRODUCER}, step {steps}"
    root.subgraphMetadata = [subgraph]
    root.minParserVersion = _VERSION
    if dataset is not None:
        description = "Names and colours (RGB) of the classes."
        root.associatedFiles = [
            _file(class_names.FILE, description, AssociatedFileType.DESCRIPTIONS)
        ]
    return _packed(root, _IDENTIFIER)


def _segmenter() -> metadata_schema.CustomMetadataT:
    """What MediaPipe needs to know about logits."""
    options = image_segmenter_schema.ImageSegmenterOptionsT()
    options.activation = image_segmenter_schema.Activation.SOFTMAX
    options.minParserVersion = "1.0.0"
    custom = metadata_schema.CustomMetadataT()
    custom.name = "SEGMENTER_METADATA"
    # Aligned to 4 bytes, since flatc's Python ignores force_align; it holds nothing wider.
    custom.data = _packed(options, b"V001")
    return custom


def _input(tensor, model) -> metadata_schema.TensorMetadataT:
    height, width = (int(size) for size in tensor.shape[1:3])
    kind = model_file.type_of(tensor)
    low, high = (-128.0, 127.0) if kind == "INT8" else (0.0, 255.0)
    inside = next((layer for layer in model.layers if isinstance(layer, Normalize)), None)
    described = metadata_schema.TensorMetadataT()
    described.name = "image"
    described.description = f"RGB image of {height}x{width} pixels, {low:g} to {high:g}."
    if inside is not None:
        described.description += (
            " Normalisation is inside the file: of pixels in 0..255, the mean "
            f"{_numbers(inside.mean)} is subtracted and the rest divided by "
            f"{_numbers(inside.std)}."
        )
    described.content = _image(ColorSpaceType.RGB)
    described.processUnits = [_normalized(*_own_normalization(tensor, low))]
    described.stats = metadata_schema.StatsT()
    described.stats.max, described.stats.min = [high], [low]
    return described


def _normalized(mean: float, std: float) -> metadata_schema.ProcessUnitT:
    unit = metadata_schema.ProcessUnitT()
    unit.optionsType = metadata_schema.ProcessUnitOptions.NormalizationOptions
    unit.options = metadata_schema.NormalizationOptionsT()
    unit.options.mean, unit.options.std = [mean], [std]
    return unit


def _own_normalization(tensor, low: float) -> tuple[float, float]:
    """Mean and standard deviation that turn pixels in 0..255 into the real numbers of an input.

    The real numbers of a quantized input are scale * (stored - zero point), where the stored number
    is the pixel (uint8) or the pixel - 128 (int8). To normalise and then quantize, as the schema
    asks for, gives just that number.
    """
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return 0.0, 1.0
    return float(quantization.zeroPoint[0] - low), float(1 / quantization.scale[0])


def _numbers(values: Sequence[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"


def _image(color_space: int) -> metadata_schema.ContentT:
    content = metadata_schema.ContentT()
    content.contentPropertiesType = metadata_schema.ContentProperties.ImageProperties
    content.contentProperties = metadata_schema.ImagePropertiesT()
    content.contentProperties.colorSpace = color_space
    return content


def _output(is_logits: bool, dataset) -> metadata_schema.TensorMetadataT:
    described = metadata_schema.TensorMetadataT()
    if is_logits:
        described.name = "logits"
        described.description = "Unnormalised score of each class for each pixel."
        kind = AssociatedFileType.TENSOR_AXIS_LABELS
    else:
        described.name = "labels"
        described.description = (
            "Index of the most likely class of each pixel. Not for MediaPipe's ImageSegmenter, "
            "which loads such files and gives wrong masks: it takes logits "
            "(export.py --for=mediapipe)."
        )
        kind = AssociatedFileType.TENSOR_VALUE_LABELS
    described.content = _image(ColorSpaceType.GRAYSCALE)
    described.content.range = metadata_schema.ValueRangeT()
    described.content.range.min, described.content.range.max = 1, 2
    if dataset is not None:
        described.associatedFiles = [_file(LABELS, "Class names, one a line.", kind)]
    return described


def _file(name: str, description: str, kind: int) -> metadata_schema.AssociatedFileT:
    file = metadata_schema.AssociatedFileT()
    file.name, file.description, file.type = name, description, kind
    return file


def read(file: TFLiteModel) -> Metadata:
    """Reads the metadata of a TFLite file, whoever wrote it.

    Class names without colours get colours far apart in hue.

    Args:
      file: TFLite file, opened.

    Raises:
      UserError: its metadata is damaged.
    """
    model = file.model
    try:
        found = [m for m in model.metadata or [] if m.name == NAME]
        buffer = bytes(model.buffers[found[0].buffer].data) if found else b""
        if buffer[4:8] != _IDENTIFIER:
            return Metadata(None, None)
        root = metadata_schema.ModelMetadata.GetRootAs(buffer)
        described = metadata_schema.ModelMetadataT.InitFromObj(root)
        graphs = (described.subgraphMetadata or [])[:1]
        sources = [t for graph in graphs for t in graph.inputTensorMetadata or []]
        targets = [t for graph in graphs for t in graph.outputTensorMetadata or []]
        own = re.match(rf"{_PRODUCER}(?:, step (\d+))?$", _text(described.version))
        return Metadata(
            _classes(file, targets),
            _normalization(sources),
            own is not None,
            int(own[1]) if own and own[1] else None,
            _record(file),
        )
    except UserError:
        raise
    except (*model_file.DAMAGE, *_ARCHIVE_DAMAGE) as error:
        raise UserError(f"{file}: its metadata cannot be read ({error})") from None


def _packed(root, identifier: bytes) -> bytes:
    """Returns the root object of a schema as a buffer with a file identifier of four characters."""
    builder = flatbuffers.Builder(0)
    builder.Finish(root.Pack(builder), file_identifier=identifier)
    return bytes(builder.Output())


def _text(string: bytes | None) -> str:
    return (string or b"").decode(errors="replace")


def _normalization(tensors: Sequence) -> tuple[list[float], list[float]] | None:
    known = metadata_schema.ProcessUnitOptions.NormalizationOptions
    for unit in [u for t in tensors for u in t.processUnits or []]:
        if unit.optionsType == known:
            mean, std = (
                [] if numbers is None else numbers.tolist()
                for numbers in (unit.options.mean, unit.options.std)
            )
            return mean, std
    return None


def _record(file: TFLiteModel) -> str | None:
    content = io.BytesIO(file.content)
    if not zipfile.is_zipfile(content):
        return None
    with zipfile.ZipFile(content) as archive:
        if RECORD not in archive.namelist():
            return None
        return archives.zip_member(archive, RECORD, str(file)).decode(errors="replace")


def _classes(file: TFLiteModel, tensors: Sequence) -> class_names.Classes | None:
    kinds = (AssociatedFileType.TENSOR_AXIS_LABELS, AssociatedFileType.TENSOR_VALUE_LABELS)
    content = io.BytesIO(file.content)
    if not zipfile.is_zipfile(content):
        return None
    with zipfile.ZipFile(content) as archive:
        names = archive.namelist()
        if class_names.FILE in names:
            text = archives.zip_member(archive, class_names.FILE, str(file))
            return class_names.parse(text, f"{file}: {class_names.FILE}")
        for entry in [f for t in tensors for f in t.associatedFiles or []]:
            name = _text(entry.name)
            if entry.type in kinds and name in names:
                text = archives.zip_member(archive, name, str(file)).decode(errors="replace")
                return class_names.Classes.named(text.splitlines())
    return None
