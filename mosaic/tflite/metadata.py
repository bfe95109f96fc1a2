"""What a TFLite file says of itself: class names, colours, and how its input is normalised.

The format is TensorFlow Lite's model metadata, which MediaPipe, the TFLite Task Library, Android
Studio and Netron read: a FlatBuffer by metadata_schema.fbs 1.5 among the file's own buffers, and
files appended as a ZIP archive, which interpreters do not see. The schema has no place for colours
and for the ignored label; they travel as classes.json, of the format that lies beside SavedModels.
"""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
from collections.abc import Sequence

from ai_edge_litert import schema_py_generated as schema

from mosaic.models.layers import Normalize
from mosaic.tflite import model_file
from mosaic.tflite.flat_tables import Byte, Table, View, pack
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils import class_names
from mosaic.utils.errors import UserError

NAME = b"TFLITE_METADATA"
LABELS = "labels.txt"

_IDENTIFIER, _VERSION = b"M001", "1.5.0"
# How this project's own files begin to tell their version; the step of training may follow.
_PRODUCER = "mosaic-segmentation"
_SCHEMA = {
    "ModelMetadata": (
        "name",
        "description",
        "version",
        "subgraph_metadata",
        "author",
        "license",
        "associated_files",
        "min_parser_version",
    ),
    "SubGraphMetadata": (
        "name",
        "description",
        "input_tensor_metadata",
        "output_tensor_metadata",
        "associated_files",
        "input_process_units",
        "output_process_units",
        "input_tensor_groups",
        "output_tensor_groups",
        "custom_metadata",
    ),
    "TensorMetadata": (
        "name",
        "description",
        "dimension_names",
        "content",
        "process_units",
        "stats",
        "associated_files",
    ),
    "Content": ("content_properties_type", "content_properties", "range"),
    "ImageProperties": ("color_space", "default_size"),
    "ValueRange": ("min", "max"),
    "ProcessUnit": ("options_type", "options"),
    "NormalizationOptions": ("mean", "std"),
    "Stats": ("max", "min"),
    "AssociatedFile": ("name", "description", "type", "locale", "version"),
    "CustomMetadata": ("name", "data"),
    # MediaPipe's own, for segmentation (image_segmenter_metadata_schema.fbs 1.0).
    "ImageSegmenterOptions": ("activation", "min_parser_version"),
}
# Values of the schemas' enumerations and unions.
_DESCRIPTIONS, _AXIS_LABELS, _VALUE_LABELS = Byte(1), Byte(2), Byte(3)
_NORMALIZATION_OPTIONS = Byte(1)
_IMAGE_PROPERTIES, _RGB, _GRAYSCALE = Byte(2), Byte(1), Byte(2)
_SOFTMAX = Byte(2)


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What a file says.

    Attributes:
      classes: names and colours; None where it names no classes.
      normalization: (mean, standard deviation) for each channel, or one for all, that RGB in
        0..255 is to be normalised with: (x - mean) / std is the real number that the input stands
        for; None where it does not say.
      is_own: whether this project wrote it.
      steps: how long its network was trained by this project, if it says so.
    """

    classes: class_names.Classes | None
    normalization: tuple[Sequence[float], Sequence[float]] | None
    is_own: bool = False
    steps: int | None = None


def add(content: bytes, model, dataset=None, steps: int | None = None) -> bytes:
    """Returns a TFLite file with metadata.

    Args:
      content: of a file with one image as input, and logits or labels as output.
      model: the network that it came from.
      dataset: a description with class names and colours; None leaves them out.
      steps: of its training by this project; None where that is not known, or others trained it.
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
    if dataset is None:
        return packed
    file = io.BytesIO(packed)
    # Stored as they are, which MediaPipe insists on; without a date, so that files can be compared.
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in (
            (LABELS, "".join(f"{name}\n" for name in dataset.class_names)),
            (class_names.FILE, class_names.content(dataset)),
        ):
            archive.writestr(zipfile.ZipInfo(name), text)
    return file.getvalue()


def _described(parsed, model, dataset, steps: int | None) -> bytes:
    graph = parsed.subgraphs[0]
    source, target = (graph.tensors[indices[0]] for indices in (graph.inputs, graph.outputs))
    is_logits = len(target.shape) == 4
    subgraph = Table(
        "SubGraphMetadata",
        input_tensor_metadata=[_input(source, model)],
        output_tensor_metadata=[_output(is_logits, dataset)],
    )
    if is_logits:
        options = Table("ImageSegmenterOptions", activation=_SOFTMAX, min_parser_version="1.0.0")
        data = pack(_SCHEMA, options, b"V001")
        name = "SEGMENTER_METADATA"
        subgraph["custom_metadata"] = [Table("CustomMetadata", name=name, data=data)]
    count = model.output_shape[-1]
    root = Table(
        "ModelMetadata",
        name=model.name,
        description=f"Semantic segmentation of RGB images into {count} classes.",
        version=_PRODUCER if steps is None else f"{_PRODUCER}, step {steps}",
        subgraph_metadata=[subgraph],
        min_parser_version=_VERSION,
    )
    if dataset is not None:
        root["associated_files"] = [
            _file(class_names.FILE, "Names and colours (RGB) of the classes.", _DESCRIPTIONS)
        ]
    return pack(_SCHEMA, root, _IDENTIFIER)


def _input(tensor, model) -> Table:
    height, width = (int(size) for size in tensor.shape[1:3])
    kind = model_file.type_of(tensor)
    low, high = (-128.0, 127.0) if kind == "INT8" else (0.0, 255.0)
    mean, std = _own_normalization(tensor, low)
    inside = next((layer for layer in model.layers if isinstance(layer, Normalize)), None)
    description = f"RGB image of {height}x{width} pixels, {low:g} to {high:g}."
    if inside is not None:
        description += (
            " Normalisation is inside the file: of pixels in 0..255, the mean "
            f"{_numbers(inside.mean)} is subtracted and the rest divided by "
            f"{_numbers(inside.std)}."
        )
    options = Table("NormalizationOptions", mean=[mean], std=[std])
    unit = Table("ProcessUnit", options_type=_NORMALIZATION_OPTIONS, options=options)
    return Table(
        "TensorMetadata",
        name="image",
        description=description,
        content=_image(_RGB),
        process_units=[unit],
        stats=Table("Stats", max=[high], min=[low]),
    )


def _own_normalization(tensor, low: float) -> tuple[float, float]:
    """Mean and deviation that make of pixels in 0..255 the real numbers of an input.

    Those of a quantized input are scale * (stored - zero point), and stored is the pixel, for int8
    less 128: whoever normalises and then quantizes, as the schema has it, stores just that.
    """
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return 0.0, 1.0
    return float(quantization.zeroPoint[0] - low), float(1 / quantization.scale[0])


def _numbers(values: Sequence[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"


def _image(color_space: Byte, **more) -> Table:
    return Table(
        "Content",
        content_properties_type=_IMAGE_PROPERTIES,
        content_properties=Table("ImageProperties", color_space=color_space),
        **more,
    )


def _output(is_logits: bool, dataset) -> Table:
    table = Table(
        "TensorMetadata",
        name="logits" if is_logits else "labels",
        description=(
            "Unnormalised score of each class for each pixel."
            if is_logits
            else "Index of the most likely class of each pixel."
        ),
        content=_image(_GRAYSCALE, range=Table("ValueRange", min=1, max=2)),
    )
    if dataset is not None:
        kind = _AXIS_LABELS if is_logits else _VALUE_LABELS
        table["associated_files"] = [_file(LABELS, "Class names, one a line.", kind)]
    return table


def _file(name: str, description: str, kind: Byte) -> Table:
    return Table("AssociatedFile", name=name, description=description, type=kind)


def read(file: TFLiteModel) -> Metadata:
    """Reads what a TFLite file says of itself, ours or another's.

    Class names without colours get colours far apart in hue.

    Args:
      file: the TFLite file.

    Raises:
      UserError: its metadata is damaged.
    """
    model = file.model
    try:
        found = [m for m in model.metadata or [] if m.name == NAME]
        buffer = bytes(model.buffers[found[0].buffer].data) if found else b""
        if buffer[4:8] != _IDENTIFIER:
            return Metadata(None, None)
        root = View.root(_SCHEMA, "ModelMetadata", buffer)
        graphs = root.tables("subgraph_metadata", "SubGraphMetadata")[:1]
        sources, targets = (
            [
                t
                for graph in graphs
                for t in graph.tables(f"{end}_tensor_metadata", "TensorMetadata")
            ]
            for end in ("input", "output")
        )
        own = re.match(rf"{_PRODUCER}(?:, step (\d+))?$", root.text("version"))
        return Metadata(
            _classes(file, targets),
            _normalization(sources),
            own is not None,
            int(own[1]) if own and own[1] else None,
        )
    except UserError:
        raise
    except (*model_file.DAMAGE, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: its metadata cannot be read ({error})") from None


def _normalization(tensors: Sequence[View]) -> tuple[list[float], list[float]] | None:
    for unit in [u for t in tensors for u in t.tables("process_units", "ProcessUnit")]:
        if unit.byte("options_type") == _NORMALIZATION_OPTIONS:
            options = unit.table("options", "NormalizationOptions")
            return options.floats("mean"), options.floats("std")
    return None


def _classes(file: TFLiteModel, tensors: Sequence[View]) -> class_names.Classes | None:
    content = io.BytesIO(file.content)
    if not zipfile.is_zipfile(content):
        return None
    with zipfile.ZipFile(content) as archive:
        names = archive.namelist()
        if class_names.FILE in names:
            return class_names.parse(archive.read(class_names.FILE), f"{file}: {class_names.FILE}")
        for tensor in tensors:
            for entry in tensor.tables("associated_files", "AssociatedFile"):
                name = entry.text("name")
                if entry.byte("type") in (_AXIS_LABELS, _VALUE_LABELS) and name in names:
                    text = archive.read(name).decode(errors="replace")
                    return class_names.Classes.named(text.splitlines())
    return None
