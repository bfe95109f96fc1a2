"""Training that computes a part of a network twice: the same values, gradients and averages."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mosaic.models.mosaic import mosaic
from mosaic.models.recompute import Recomputing
from tiny_network import pictures, randomized, tiny


def _step(model, network, images):
    """One step's logits, gradients, and the moving averages after it."""

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = network(images)
            loss = tf.reduce_sum(logits**2)
        return logits, tape.gradient(loss, model.trainable_variables)

    return step, step(), [variable.numpy() for variable in model.non_trainable_variables]


def _kept(step):
    """Number of values in maps that the forward pass of a step leaves to the backward pass."""
    operations = step.get_concrete_function().graph.get_operations()
    numbers = {operation: number for number, operation in enumerate(operations)}
    loss = min(numbers[x] for x in operations if x.type == "Pow")
    return sum(
        output.shape.num_elements()
        for operation in operations[:loss]
        for output in operation.outputs
        if output.shape.rank == 4
        and output.shape[0] == 4
        and any(numbers[user] > loss for user in output.consumers())
    )


@pytest.mark.parametrize("frozen", [(), ("stem_conv", "stem_bn")], ids=["all", "frozen"])
def test_values_gradients_and_averages_are_the_same_from_less_memory(frozen):
    model, images = randomized(tiny()), tf.constant(np.stack(pictures()))
    for name in frozen:
        model.get_layer(name).trainable = False
    before = model.get_weights()
    network = Recomputing(model, *images.shape[1:3])
    whole, expected, averages = _step(model, lambda x: model(x, training=True), images)
    model.set_weights(before)
    less, found, others = _step(model, network, images)
    assert network.blocks
    assert _kept(less) < 0.75 * _kept(whole)
    tf.nest.map_structure(np.testing.assert_array_equal, expected, found)
    tf.nest.map_structure(np.testing.assert_array_equal, averages, others)
    assert any(np.any(old != new) for old, new in zip(before, model.get_weights()))


def test_without_compiling():
    model, images = randomized(tiny()), tf.constant(np.stack(pictures()))
    network = Recomputing(model, *images.shape[1:3])
    with tf.GradientTape(persistent=True) as tape:
        whole, found = (tf.reduce_sum(f(images) ** 2) for f in (_training(model), network))
    for variable in model.trainable_variables:
        expected = tape.gradient(whole, variable).numpy()
        np.testing.assert_allclose(tape.gradient(found, variable), expected, rtol=1e-6)


def _training(model):
    return lambda images: model(images, training=True)


def test_random_layers_are_not_computed_twice():
    network = Recomputing(mosaic(3, bins=(1, 4), dropout=0.5), 64, 96)
    names = [name for block in network.blocks for name in block]
    assert names and "encoder_dropout" not in names


REPLICAS = """
import json, sys
import numpy as np, tensorflow as tf
from mosaic.models.recompute import Recomputing
from tiny_network import pictures, randomized, tiny

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
images = np.stack(pictures())
def value(context):
    start = context.replica_id_in_sync_group * 2
    return tf.constant(images[start : start + 2])
parts = strategy.experimental_distribute_values_from_function(value)
results = []
for recompute in (False, True):
    with strategy.scope():
        model = randomized(tiny())
        assert any(getattr(layer, "synchronized", False) for layer in model.layers)
        network = Recomputing(model, *images.shape[1:3]) if recompute else (
            lambda x: model(x, training=True))
    @tf.function
    def step():
        def one(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(network(x) ** 2)
            return tape.gradient(loss, model.trainable_variables)
        found = strategy.run(one, (parts,))
        return [strategy.reduce("SUM", gradient, axis=None) for gradient in found]
    gradients = [gradient.numpy() for gradient in step()]
    results.append([*gradients, *(v.numpy() for v in model.non_trainable_variables)])
differences = [np.abs(a - b).max() / (np.abs(a).max() + 1e-6) for a, b in zip(*results)]
print(json.dumps([float(difference) for difference in differences]))
"""


def test_replicas_share_statistics_when_they_compute_again(root):
    path = [str(root), str(root / "tests" / "support")]
    code = f"import sys; sys.path[:0] = {path!r}\n{REPLICAS}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert max(json.loads(result.stdout.splitlines()[-1])) == pytest.approx(0, abs=1e-5)
