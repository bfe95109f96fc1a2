"""Exported SavedModels: what they take and answer."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mosaic.export import saved_model
from serving import expected

SIZE = (64, 96)


@pytest.fixture(scope="module")
def exported(small_network, drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "saved_model"
    agreement = saved_model.write(small_network, list(drawn.images[:2]), str(path))
    return path, agreement


def test_saved_model_agrees_with_its_network(exported):
    _, agreement = exported
    assert agreement.difference < 1e-4
    assert agreement.equal == 1.0
    assert agreement.images == 2


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
