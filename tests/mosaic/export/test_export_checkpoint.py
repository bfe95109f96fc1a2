import copy
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

from mosaic import experiment
from mosaic.evaluation.evaluator import Evaluation
from mosaic.export import export_checkpoint, saved_model, tflite, tolerances
from mosaic.export.serving_module import Serving
from mosaic.inference.predictors import of_tflite
from mosaic.models.mosaic import mosaic
from mosaic.models.variables import Variables
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite import model_file
from mosaic.utils.errors import RunError, UserError

SIZE = (64, 96)


@pytest.fixture(scope="module")
def tiny_network():
    """Dark or bright by a single convolution at stride 2."""
    images = tf_keras.Input([None, None, 3], name="images")
    brightness = np.array([-1.0, 1.0, 0.0]) * np.full([2, 2, 3, 1], 1 / 12)
    bias = np.array([127.0, -127.0, -60.0])
    layer = tf_keras.layers.Conv2D(3, 2, 2, "same", weights=[brightness, bias])
    return tf_keras.Model(images, layer(images), name="tiny")


@pytest.fixture(scope="module")
def exported(small_network, drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "saved_model"
    agreement = saved_model.write(small_network, list(drawn.images[:2]), str(path))
    return path, agreement


def expected(network, images):
    return Serving(network)(tf.constant(images))["logits"].numpy()


def test_saved_model_agrees_with_its_network(exported):
    _, agreement = exported
    assert agreement.difference < 1e-4 and agreement.equal == 1.0 and agreement.images == 2


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_saved_model_contract(exported, small_network, drawn, count, dtype):
    loaded = tf.saved_model.load(str(exported[0]))
    images = drawn.images[:count].astype(dtype)
    want = expected(small_network, drawn.images[:count])
    assert want.shape == (count, *SIZE, 3)
    np.testing.assert_allclose(loaded(tf.constant(images))["logits"], want, atol=1e-4)
    serving = loaded.signatures["serving_default"](images=images.astype(np.float32))
    assert list(serving) == ["logits"]
    np.testing.assert_allclose(serving["logits"], want, atol=1e-4)


def test_saved_model_takes_other_sizes(exported, small_network):
    images = np.random.default_rng(0).integers(0, 256, (1, 80, 112, 3), np.uint8)
    loaded = tf.saved_model.load(str(exported[0]))
    got = loaded.signatures["serving_uint8"](images=images)["logits"]
    np.testing.assert_allclose(got, expected(small_network, images), atol=1e-4)


def test_saved_model_loads_with_tensorflow_alone(exported):
    script = (
        "import sys\n"
        "for name in ('tf_keras', 'official', 'mosaic'):\n"
        "    sys.modules[name] = None\n"
        "import numpy as np, tensorflow as tf\n"
        f"signatures = tf.saved_model.load({str(exported[0])!r}).signatures\n"
        "images = np.arange(64 * 96 * 3).astype(np.uint8).reshape(1, 64, 96, 3).repeat(3, 0)\n"
        "one = signatures['serving_default'](images=images.astype(np.float32))['logits']\n"
        "other = signatures['serving_uint8'](images=images)['logits']\n"
        "files = [tf.io.encode_png(image) for image in images]\n"
        "third = signatures['serving_image_bytes'](image_bytes=files)\n"
        "assert np.allclose(one, other) and np.allclose(one, third['logits'])\n"
        "print(one.shape, third['labels'].shape)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=os.sep
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "(3, 64, 96, 3) (3, 64, 96)"


@pytest.mark.parametrize("output", tflite.OUTPUTS)
def test_tflite(small_network, drawn, tmp_path, output):
    path = tmp_path / "network.tflite"
    images = list(drawn.images[:2])
    agreement = tflite.write(small_network, images, str(path), SIZE, output)
    assert agreement.equal > 0.999
    answer = of_tflite(str(path)).run(images[:1])[0]
    want = expected(small_network, drawn.images[:1])[0]
    if output == "logits_stride4":
        want = small_network(drawn.images[:1].astype(np.float32))[0].numpy()
        assert want.shape == (16, 24, 3)
    if output != "labels":
        np.testing.assert_allclose(answer, want, atol=1e-3)
    else:
        assert answer.dtype == np.int32
        assert np.mean(answer == want.argmax(-1)) > 0.999


@pytest.fixture(scope="module")
def full_bytes(trained_network, drawn, tmp_path_factory):
    """Size of the float file."""
    path = tmp_path_factory.mktemp("full") / "full.tflite"
    tflite.write(trained_network, [drawn.images[0]], str(path), SIZE)
    assert model_file.numbers(str(path)) == "float32"
    return path.stat().st_size


@pytest.mark.parametrize("quantize", ["float16", "dynamic", "int8"])
def test_quantized_files_are_smaller_and_agree(
    trained_network, drawn, full_bytes, tmp_path, quantize
):
    small, images = tmp_path / "small.tflite", list(drawn.images)
    agreement = tflite.write(
        trained_network, images[:2], str(small), SIZE, "labels", quantize, lambda: images
    )
    assert agreement.equal >= tolerances.LIMITS[quantize].equal
    assert small.stat().st_size < 0.6 * full_bytes
    assert model_file.numbers(str(small)) == quantize


@pytest.mark.parametrize(
    ("input_type", "output", "conversions"), [("int8", "labels", 0), ("uint8", "logits", 2)]
)
def test_int8_files_compute_in_integers(
    trained_network, drawn, tmp_path, input_type, output, conversions
):
    """From the image's bytes to the answer; uint8 at either end costs a conversion."""
    path, images = tmp_path / "x.tflite", list(drawn.images)
    agreement = tflite.write(
        trained_network, images[:2], str(path), SIZE, output, "int8", lambda: images, input_type
    )
    assert agreement.equal > 0.9
    model = model_file.parse(str(path))
    graph, operators = model.subgraphs[0], model_file.operators(model)
    types = {index: model_file.type_of(tensor) for index, tensor in enumerate(graph.tensors)}
    assert set(types.values()) <= {"INT8", "UINT8", "INT32"}
    ends = [types[graph.inputs[0]], types[graph.outputs[0]]]
    answer = "INT32" if output == "labels" else input_type.upper()
    assert ends == [input_type.upper(), answer]
    assert [kind for kind, _ in operators].count("QUANTIZE") == conversions
    kernels = [graph.tensors[op.inputs[1]] for kind, op in operators if kind == "CONV_2D"]
    assert all(
        len(kernel.quantization.scale) == kernel.shape[0]
        for kernel in kernels
        if kernel.shape[0] > 1
    )
    source = Interpreter(str(path)).get_input_details()[0]["quantization"]
    centre = 114 if input_type == "uint8" else 114 - 128
    assert source == (1.0, centre)


def test_sizes_that_four_does_not_divide(tiny_network, drawn, tmp_path):
    path = str(tmp_path / "x.tflite")
    tflite.write(tiny_network, [drawn.images[0]], path, (66, 97), "logits_stride4")
    image = np.zeros((1, 66, 97, 3), np.uint8)
    assert of_tflite(path).run(image).shape == (1, 17, 25, 3)


def configure(monkeypatch, network, dataset, loaded=None):
    """Has `export_checkpoint` find a network and a data set."""
    found = (network, dataset, Evaluation(batch_size=2), loaded)
    monkeypatch.setattr(experiment, "load_experiment", lambda checkpoint: found)


def test_scores_before_and_after(tiny_network, drawn, tmp_path, monkeypatch, capsys):
    configure(monkeypatch, tiny_network, drawn)
    export_checkpoint.export_checkpoint("x", str(tmp_path / "out"), ("saved_model",), evaluate=True)
    line = capsys.readouterr().out
    assert re.search(r"mIoU (\S+) before and \1 after on 5 images \(100.00 % kept\)", line)


@pytest.mark.parametrize(("form", "steps"), [("mosaic", 7), ("garden", None)])
def test_files_tell_how_long_training_took(tiny_network, drawn, tmp_path, monkeypatch, form, steps):
    configure(monkeypatch, tiny_network, drawn, Variables("x", form, 7, {}))
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0))
    export_checkpoint.export_checkpoint("x", str(tmp_path), ("tflite",), output="labels")
    (path,) = tmp_path.iterdir()
    said = tflite_metadata.read(str(path))
    assert said.is_own and said.steps == steps


@pytest.mark.parametrize("splits", [("train", "val"), ("val",)])
def test_a_garden_checkpoint_of_a_tflite_file_can_be_trained(drawn, tmp_path, capsys, splits):
    """With batch norm's statistics, which the file has not, where there are images for them."""
    dataset, network = type(drawn)(), mosaic(3, bins=(1, 4))
    dataset.splits = splits
    image = drawn.images[:1].astype(np.float32)
    before = network(image).numpy()
    with pytest.MonkeyPatch.context() as patch:
        configure(patch, network, dataset, Variables("x.tflite", "tflite", None, {}))
        export_checkpoint.export_checkpoint("x.tflite", str(tmp_path), ("garden_checkpoint",))
    np.testing.assert_allclose(network(image), before, atol=1e-4)
    norm = next(x for x in network.layers if isinstance(x, tf_keras.layers.BatchNormalization))
    assert np.any(norm.moving_mean) == ("train" in splits)
    assert ("no training images here" in capsys.readouterr().err) == ("train" not in splits)
    assert (tmp_path / "garden_checkpoint" / "classes.json").is_file()


def test_the_size_of_a_file_is_that_of_the_evaluation(tiny_network, drawn, tmp_path, monkeypatch):
    """Where images have several and are padded to one."""
    dataset = type(drawn)()
    dataset.image_size = None
    evaluation = Evaluation(padded_size=(32, 48))
    found = (tiny_network, dataset, evaluation, Variables("x", "mosaic", None, {}))
    monkeypatch.setattr(experiment, "load_experiment", lambda checkpoint: found)
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0))
    export_checkpoint.export_checkpoint("x", str(tmp_path), ("tflite",))
    (path,) = tmp_path.iterdir()
    assert of_tflite(str(path)).input_size == (32, 48)


def test_too_small_a_score_leaves_nothing(tiny_network, drawn, tmp_path, monkeypatch):
    configure(monkeypatch, tiny_network, drawn)
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0, 1.1))
    out = tmp_path / "out"
    with pytest.raises(RunError, match="110 % of the mIoU"):
        export_checkpoint.export_checkpoint("x", str(out), ("saved_model",), evaluate=True)
    assert not out.exists()


def test_a_miss_of_the_usual_is_told(tiny_network, drawn, tmp_path, monkeypatch, capsys):
    configure(monkeypatch, tiny_network, drawn)
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0, 0.0, 1.1))
    export_checkpoint.export_checkpoint("x", str(tmp_path), ("saved_model",))
    captured = capsys.readouterr()
    assert "saved_model: logit difference at most" in captured.out
    assert re.search("warning: .*saved_model: .* usually have 110 % equal pixels", captured.err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (32, 96)}, "cannot be pooled into 4x4 bins"),
        ({"quantize": ("none", "int9")}, "--quantize=int9: not one of none, float16"),
        ({"formats": ("saved_model", "onnx")}, "--format=onnx: not one of saved_model"),
        ({"output": "probabilities"}, "--output=probabilities: not one of logits"),
        ({"input_type": "int16"}, "--input_type=int16: not one of uint8, int8"),
        ({"input_type": "int8"}, "--input_type=int8 is for int8 files"),
        ({"quantize": ("int8",)}, "training images, and drawn has none here \\(only val\\)"),
        ({"export_dir": "/proc/out"}, "/proc/out: /proc cannot be written to"),
    ],
)
def test_bad_calls_leave_nothing(small_network, drawn, tmp_path, monkeypatch, arguments, message):
    dataset = copy.copy(drawn)
    dataset.splits = ("val",)
    configure(monkeypatch, small_network, dataset)
    settings = {"export_dir": str(tmp_path / "out"), **arguments}
    with pytest.raises(UserError, match=message):
        export_checkpoint.export_checkpoint("x", **settings)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_leaves_nothing(small_network, drawn, tmp_path, monkeypatch):
    impossible = tolerances.Limit(None, 1.1)
    monkeypatch.setitem(tolerances.LIMITS, "none", impossible)
    with pytest.raises(RunError, match="nothing was kept") as caught:
        tflite.write(small_network, [drawn.images[0]], str(tmp_path / "x.tflite"), SIZE)
    assert caught.value.exit_code == 1
    with pytest.raises(RunError, match="nothing was kept"):
        saved_model.write(small_network, [drawn.images[0]], str(tmp_path / "saved"))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_keeps_the_file_before(small_network, drawn, tmp_path, monkeypatch):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"before")
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 1.1))
    with pytest.raises(RunError):
        tflite.write(small_network, [drawn.images[0]], str(path), SIZE)
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "probabilities"}, "not one of logits, logits_stride4, labels"),
        ({"quantize": "int4"}, "not one of none, float16"),
        ({"input_type": "int16"}, "not one of uint8, int8"),
        ({"quantize": "int8"}, "needs representative images"),
        ({"size": (32, 96)}, "cannot be pooled into 4x4 bins"),
    ],
)
def test_bad_calls_are_told_in_one_line(small_network, drawn, tmp_path, arguments, message):
    settings = {"size": SIZE, **arguments}
    with pytest.raises(UserError, match=message):
        tflite.write(small_network, [drawn.images[0]], str(tmp_path / "x.tflite"), **settings)
    assert list(tmp_path.iterdir()) == []
