"""Steps in mixed precision and compiled by XLA: the loss falls, and checkpoints are whole."""

import types

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import mosaic.training.train_loop  # noqa: F401 - registers what gin configures
from drawn import Drawn
from mosaic.models.quantization_aware import quantize_aware
from mosaic.training import precision
from mosaic.training.averaging import averaged
from mosaic.training.losses import CrossEntropy
from mosaic.training.task import SegmentationTask
from mosaic.utils.errors import UserError
from tiny_network import tiny


@pytest.fixture
def in_precision():
    """Configures a precision for the rest of a test."""
    blocks = []

    def enter(name):
        gin.bind_parameter("runtime.precision", name)
        blocks.append(precision.configured())
        blocks[-1].__enter__()

    with gin.unlock_config():
        yield enter
    for block in blocks:
        block.__exit__(None, None, None)
    assert tf_keras.mixed_precision.global_policy().name == "float32"
    gin.clear_config()


def _trainer(compiles=False, recompute=False):
    """A new network and optimizer, and a function that trains them by a step on one batch."""
    tf_keras.utils.set_random_seed(0)
    data = Drawn()
    model = tiny()
    optimizer = precision.with_loss_scale(tf_keras.optimizers.legacy.SGD(0.02, momentum=0.9))
    task = SegmentationTask(
        model, data, CrossEntropy(), 4, 0, recompute=recompute, compiles=compiles
    )
    batch = tf.constant(data.images[:4]), tf.constant(data.labels[:4])
    step = tf.function(lambda: task.train_step(batch, model, optimizer)[task.loss])
    return types.SimpleNamespace(
        model=model, saved=tf.train.Checkpoint(model=model, optimizer=optimizer), step=step
    )


@pytest.mark.parametrize(
    ("name", "compiles", "recompute"),
    [
        ("mixed_bfloat16", False, True),
        ("mixed_float16", False, False),
        ("float32", True, False),
    ],
)
def test_the_loss_falls_and_a_checkpoint_goes_on(in_precision, tmp_path, name, compiles, recompute):
    in_precision(name)
    one = _trainer(compiles, recompute)
    losses = [float(one.step()) for _ in range(4)]
    assert losses[-1] < losses[0] - 0.02
    assert all(variable.dtype == tf.float32 for variable in one.model.variables)
    path = one.saved.save(str(tmp_path / "ckpt"))
    other = _trainer(compiles, recompute)
    other.step()
    other.saved.restore(path).assert_consumed()
    np.testing.assert_allclose(float(other.step()), float(one.step()), rtol=1e-3)


def test_only_float16_has_a_loss_scale(in_precision):
    optimizer = tf_keras.optimizers.legacy.SGD(0.1)
    assert precision.with_loss_scale(optimizer) is optimizer
    in_precision("mixed_float16")
    assert isinstance(precision.with_loss_scale(optimizer), precision.LossScaleOptimizer)
    with pytest.raises(UserError, match=r"mixed_float16' and train\.average_decay exclude"):
        precision.with_loss_scale(averaged(optimizer, 0.99))


def test_what_cannot_be_is_refused(in_precision):
    quantized = quantize_aware(tiny())
    precision.check(quantized, compiles=True)
    in_precision("mixed_bfloat16")
    with pytest.raises(UserError, match="quantization-aware training rounds in float32"):
        precision.check(quantized, compiles=False)
    shared = types.SimpleNamespace(layers=[types.SimpleNamespace(synchronized=True)])
    precision.check(shared, compiles=False)
    with pytest.raises(UserError, match=r"runtime\.compile = True: replicas share batch norm's"):
        precision.check(shared, compiles=True)


def test_images_are_normalised_in_float32(in_precision):
    in_precision("mixed_bfloat16")
    layers = {layer.name: layer for layer in tiny().layers}
    assert layers["normalize"].compute_dtype == "float32"
    assert layers["stem_conv"].compute_dtype == "bfloat16"
