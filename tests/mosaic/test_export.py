import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mosaic import export
from mosaic.errors import RunError, UserError
from mosaic.predictors import of_tflite

SIZE = (64, 96)


@pytest.fixture(scope="module")
def exported(small_network, drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "saved_model"
    agreement = export.saved_model(small_network, list(drawn.images[:2]), str(path))
    return path, agreement


def expected(network, images):
    return export.Serving(network)(tf.constant(images))["logits"].numpy()


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
        f"serve = tf.saved_model.load({str(exported[0])!r}).signatures['serving_default']\n"
        "print(serve(images=np.zeros((2, 64, 96, 3), np.float32))['logits'].shape)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=os.sep
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "(2, 64, 96, 3)"


@pytest.mark.parametrize("output", export.OUTPUTS)
def test_tflite(small_network, drawn, tmp_path, output):
    path = tmp_path / "network.tflite"
    images = list(drawn.images[:2])
    agreement = export.tflite(small_network, images, str(path), SIZE, output)
    assert agreement.equal > 0.999
    answer = of_tflite(str(path)).run(images[:1])[0]
    want = expected(small_network, drawn.images[:1])[0]
    if output == "logits":
        np.testing.assert_allclose(answer, want, atol=1e-3)
    else:
        assert answer.dtype == np.int32
        assert np.mean(answer == want.argmax(-1)) > 0.999


@pytest.fixture(scope="module")
def full_bytes(trained_network, drawn, tmp_path_factory):
    """Size of the float file."""
    path = tmp_path_factory.mktemp("full") / "full.tflite"
    export.tflite(trained_network, [drawn.images[0]], str(path), SIZE)
    return path.stat().st_size


@pytest.mark.parametrize("quantize", ["float16", "dynamic", "int8"])
def test_quantized_files_are_smaller_and_agree(
    trained_network, drawn, full_bytes, tmp_path, quantize
):
    small, images = tmp_path / "small.tflite", list(drawn.images)
    agreement = export.tflite(
        trained_network, images[:2], str(small), SIZE, "labels", quantize, lambda: images
    )
    assert agreement.equal >= export.LIMITS[quantize].equal
    assert small.stat().st_size < 0.6 * full_bytes


def test_a_failed_check_leaves_nothing(small_network, drawn, tmp_path, monkeypatch):
    impossible = export.Limit(None, 1.1)
    monkeypatch.setitem(export.LIMITS, "none", impossible)
    with pytest.raises(RunError, match="nothing was kept") as caught:
        export.tflite(small_network, [drawn.images[0]], str(tmp_path / "x.tflite"), SIZE)
    assert caught.value.exit_code == 1
    with pytest.raises(RunError, match="nothing was kept"):
        export.saved_model(small_network, [drawn.images[0]], str(tmp_path / "saved"))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_keeps_the_file_before(small_network, drawn, tmp_path, monkeypatch):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"before")
    monkeypatch.setitem(export.LIMITS, "none", export.Limit(None, 1.1))
    with pytest.raises(RunError):
        export.tflite(small_network, [drawn.images[0]], str(path), SIZE)
    assert path.read_bytes() == b"before"


def test_check_sees_a_difference(small_network, drawn):
    def shifted(image):
        return expected(small_network, image[np.newaxis])[0] + 0.5

    with pytest.raises(RunError, match=r"largest logit difference 0\.5"):
        export.check(small_network, shifted, [drawn.images[0]], export.LIMITS["none"], "x")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "probabilities"}, "not one of logits, labels"),
        ({"quantize": "int4"}, "not one of none, float16"),
        ({"quantize": "int8"}, "needs representative images"),
        ({"size": (32, 96)}, "cannot be pooled into 4x4 bins"),
    ],
)
def test_bad_calls_are_told_in_one_line(small_network, drawn, tmp_path, arguments, message):
    settings = {"size": SIZE, **arguments}
    with pytest.raises(UserError, match=message):
        export.tflite(small_network, [drawn.images[0]], str(tmp_path / "x.tflite"), **settings)
    assert list(tmp_path.iterdir()) == []
