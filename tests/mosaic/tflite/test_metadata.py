"""What TFLite files say of themselves."""

import base64
import json
import random
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from mosaic.inference import model_classes
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.tflite import image_segmenter_schema, metadata_schema, model_file
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel, opened
from mosaic.utils import class_names
from mosaic.utils.errors import UserError
from tflite_files import convert, tiny_network

# Metadata for two classes and the normalisation (x - 127.5) / 63.75, as TFLite Support 0.4.4 writes
# it (metadata_writers.image_segmenter); its labels lie in l.txt.
OTHERS = base64.b64decode(
    "HAAAAE0wMDEUABQAEAAMAAAACAAAAAAAAAAEABQAAAAQAAAAGAAAADQCAACcAgAABQAAADEuMC4wAAAAAQAAABAAAA"
    "AMAAwAAAAAAAgABAAMAAAACAAAACgBAAABAAAAGAAAAAAAEgAYABQAEAAAAAwAAAAIAAQAEgAAABQAAAB8AAAAiAAA"
    "AKgAAADcAAAAAQAAABAAAAAAAAoAEAAMAAgABwAKAAAAAAAAAggAAAA8AAAAMwAAAExhYmVscyBmb3IgY2F0ZWdvcm"
    "llcyB0aGF0IHRoZSBtb2RlbCBjYW4gcmVjb2duaXplLgAFAAAAbC50eHQAAAAEAAYABAAAAAAACgAQAA8ACAAEAAoA"
    "AAAMAAAAFAAAAAAAAAI0////AgAAAAEAAAAK////AAAAAjEAAABNYXNrcyBvdmVyIHRoZSB0YXJnZXQgb2JqZWN0cy"
    "B3aXRoIGhpZ2ggYWNjdXJhY3kuAAAAEgAAAHNlZ21lbnRhdGlvbl9tYXNrcwAAAQAAABQAAAAQABgAFAAQAAAADAAI"
    "AAQAEAAAABQAAAAsAAAAcAAAAIQAAACkAAAAyP///wgAAAAMAAAAAQAAAAAAAMABAAAAAAAAQAEAAAAMAAAACAAMAA"
    "sABAAIAAAAEAAAAAAAAAEIAAwACAAEAAgAAAAIAAAADAAAAAEAAAAAAH9CAQAAAAAA/0IIAAoACQAEAAgAAAAMAAAA"
    "AAIGAAgABwAGAAAAAAAAARwAAABJbnB1dCBpbWFnZSB0byBiZSBzZWdtZW50ZWQuAAAAAAUAAABpbWFnZQAAAGcAAA"
    "BTZW1hbnRpYyBpbWFnZSBzZWdtZW50YXRpb24gcHJlZGljdHMgd2hldGhlciBlYWNoIHBpeGVsIG9mIGFuIGltYWdl"
    "IGlzIGFzc29jaWF0ZWQgd2l0aCBhIGNlcnRhaW4gY2xhc3MuAA4AAABJbWFnZVNlZ21lbnRlcgAA"
)


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture(scope="module")
def content(network):
    return convert(network)


@pytest.fixture(scope="module")
def file(network, content, drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("described") / "network.tflite"
    path.write_bytes(tflite_metadata.add(content, network, drawn))
    return path


def described(path):
    """What a file's metadata says of its only graph."""
    model = TFLiteModel.open(path).model
    (found,) = (m for m in model.metadata if m.name == b"TFLITE_METADATA")
    buffer = bytes(model.buffers[found.buffer].data)
    assert buffer[4:8] == b"M001"
    root = metadata_schema.ModelMetadata.GetRootAs(buffer)
    (graph,) = metadata_schema.ModelMetadataT.InitFromObj(root).subgraphMetadata
    return graph


def test_files_are_appended_as_they_are(file, drawn):
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["labels.txt", "classes.json"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read("labels.txt") == b"dark\nbright\nabsent\n"
        table = json.loads(archive.read("classes.json"))
    assert [tuple(entry["color"]) for entry in table["classes"]] == list(drawn.colors)


def test_the_answer_is_the_same(file, content, tmp_path):
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(content)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(
        TFLitePredictor(TFLiteModel.open(file)).run(images),
        TFLitePredictor(TFLiteModel.open(plain), "none").run(images),
    )


def test_what_is_written_is_read(file, drawn):
    found = tflite_metadata.read(TFLiteModel.open(file))
    assert found.classes == class_names.Classes(drawn.class_names, drawn.colors, drawn.ignore_label)
    assert found.normalization == ([0.0], [1.0])
    assert found.is_own
    assert found.steps is None


def test_the_steps_of_training_are_told(network, content, tmp_path):
    path = tmp_path / "trained.tflite"
    path.write_bytes(tflite_metadata.add(content, network, steps=4140))
    found = tflite_metadata.read(TFLiteModel.open(path))
    assert found.is_own
    assert found.steps == 4140


def test_the_networks_own_normalization_is_told(file):
    (image,) = described(file).inputTensorMetadata
    assert image.description.startswith(b"RGB image of 8x8 pixels, 0 to 255.")
    numbers = b"the mean (120, 110, 100) is subtracted and the rest divided by (60, 50, 40)"
    assert numbers in image.description


def test_mediapipe_is_told_what_logits_are(file):
    (custom,) = described(file).customMetadata
    assert custom.name == b"SEGMENTER_METADATA"
    data = bytes(custom.data)
    assert data[4:8] == b"V001"
    options = image_segmenter_schema.ImageSegmenterOptions.GetRootAs(data)
    assert options.Activation() == image_segmenter_schema.Activation.SOFTMAX


@pytest.mark.parametrize(("kind", "low"), [(tf.uint8, 0), (tf.int8, -128)])
def test_normalized_and_quantized_pixels_are_what_the_input_takes(network, tmp_path, kind, low):
    path = tmp_path / "quantized.tflite"
    path.write_bytes(tflite_metadata.add(convert(network, quantize=kind), network))
    quantization = TFLiteModel.open(path).graph.tensors[0].quantization
    (mean,), (std,) = tflite_metadata.read(TFLiteModel.open(path)).normalization
    pixels = np.arange(256)
    stored = (pixels - mean) / std / quantization.scale[0] + quantization.zeroPoint[0]
    np.testing.assert_allclose(stored, pixels + low, atol=0.01)


def test_labels_are_values(network, drawn, tmp_path):
    path = tmp_path / "labels.tflite"
    path.write_bytes(tflite_metadata.add(convert(network, "labels"), network, drawn))
    graph = described(path)
    assert graph.customMetadata is None
    (labels,) = graph.outputTensorMetadata[0].associatedFiles
    assert labels.type == metadata_schema.AssociatedFileType.TENSOR_VALUE_LABELS
    assert model_classes.find(opened(str(path))).class_names == drawn.class_names


def others(content, path, buffer=OTHERS):
    """A file with metadata as another has written it."""
    from ai_edge_litert import schema_py_generated as schema

    model = model_file.unpack(content)
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = list(buffer)
    model.metadata.append(schema.MetadataT())
    model.metadata[-1].name = b"TFLITE_METADATA"
    model.metadata[-1].buffer = len(model.buffers) - 1
    path.write_bytes(model_file.pack(model))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("l.txt", "sky\nroad\n")


def test_others_files_are_read(content, tmp_path):
    path = tmp_path / "others.tflite"
    others(content, path)
    found = tflite_metadata.read(TFLiteModel.open(path))
    assert found.classes == class_names.Classes.named(["sky", "road"])
    assert found.normalization == ([127.5], [63.75])
    assert not found.is_own
    assert found.steps is None
    image = np.full((1, 8, 8, 3), 255, np.uint8)
    prepare = TFLitePredictor(TFLiteModel.open(path)).prepare
    np.testing.assert_array_equal(prepare(image), np.full(image.shape, 2, np.float32))


def test_damage(content, tmp_path):
    path = tmp_path / "damaged.tflite"
    others(content, path, OTHERS[:8] + b"\xff" * 20)
    with pytest.raises(UserError, match=r"damaged.tflite: its metadata cannot be read"):
        tflite_metadata.read(TFLiteModel.open(path))


def damaged():
    """Ways in which metadata can be damaged: a length or an offset too large, or any bits."""
    for place in range(0, len(OTHERS), 4):
        for word in (b"\xff\xff\xff\xff", b"\0\0\1\0"):
            yield OTHERS[:place] + word + OTHERS[place + 4 :]
    draw = random.Random(0)
    for _ in range(300):
        buffer = bytearray(OTHERS)
        for _ in range(draw.choice((1, 3, 10))):
            buffer[draw.randrange(len(buffer))] ^= 1 << draw.randrange(8)
        yield bytes(buffer)


def test_any_damage_is_told_or_does_no_harm(content, tmp_path):
    path = tmp_path / "damaged.tflite"
    others(content, path)
    before, whole, after = path.read_bytes().partition(OTHERS)
    assert whole
    told = []
    for buffer in damaged():
        path.write_bytes(before + buffer + after)
        try:
            assert isinstance(
                tflite_metadata.read(TFLiteModel.open(path)), tflite_metadata.Metadata
            )
        except UserError as error:
            told.append(str(error))
    assert told and all(line.startswith(f"{path}: its metadata cannot be read") for line in told)


# Places in the archive's list of files: an entry's flags, its compression, where its content is.
@pytest.mark.parametrize(("place", "value"), [(8, 1), (10, 99), (45, 0x7F)])
def test_damage_to_the_appended_files_is_told(file, tmp_path, place, value):
    content = bytearray(file.read_bytes())
    content[content.rindex(b"PK\1\2") + place] = value
    path = tmp_path / "damaged.tflite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged.tflite: its metadata cannot be read"):
        tflite_metadata.read(TFLiteModel.open(path))


@pytest.mark.parametrize("name", ["metadata_schema", "image_segmenter_schema"])
def test_generated_code_is_what_flatc_makes_of_the_schema(name, root, tmp_path):
    folder = root / "mosaic/tflite"
    head, _, generated = (folder / f"{name}.py").read_text(encoding="utf-8").partition("\n\n")
    says, command = head.splitlines()
    *command, schema = command.removeprefix("#").split()
    version = says.partition("with ")[2].removesuffix(":").replace("flatc", "flatc version")
    flatc = shutil.which("flatc")
    if not flatc or subprocess.check_output([flatc, "--version"], text=True).strip() != version:
        pytest.skip(f"{version} is not installed; others write other code")
    subprocess.run([*command, "--no-warnings", "-o", tmp_path, folder / schema], check=True)
    made = (tmp_path / f"{name}_generated.py").read_text(encoding="utf-8")
    assert generated == made, "`make schemas` writes it anew"
