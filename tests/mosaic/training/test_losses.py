"""The losses: against the Garden's, by definition, and with settings that cannot be."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from official.vision.losses import segmentation_losses

from loss_inputs import CLASSES, made_batch, own_dataset
from mosaic.training.losses import CrossEntropy, SoftJaccard, SumOfLosses, settle
from mosaic.utils.errors import UserError

WEIGHTS = [0.5, 1.0, 2.0, 4.0]


def _garden(labels, logits, ignore_label=255, class_weights=(), label_smoothing=0.0, top_k=1.0):
    loss = segmentation_losses.SegmentationLoss(
        label_smoothing,
        list(class_weights),
        ignore_label,
        use_groundtruth_dimension=True,
        top_k_percent_pixels=top_k,
    )
    return loss(logits, labels[..., tf.newaxis])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"class_weights": WEIGHTS},
        {"label_smoothing": 0.1},
        {"top_k": 0.3},
        {"ignore_label": 0, "class_weights": WEIGHTS},
        {"class_weights": WEIGHTS, "label_smoothing": 0.1},
        {"class_weights": WEIGHTS, "label_smoothing": 0.1, "top_k": 0.3},
    ],
    ids=lambda arguments: "+".join(arguments) or "plain",
)
def test_equals_the_gardens(arguments):
    labels, logits = made_batch(arguments.get("ignore_label", 255))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        found = CrossEntropy(**arguments)(labels, logits)
        expected = _garden(labels, logits, **arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(
        tape.gradient(found, logits), tape.gradient(expected, logits), atol=1e-7
    )


@pytest.mark.parametrize(
    "arguments",
    [{"class_weights": WEIGHTS}, {"label_smoothing": 0.1}, {"top_k": 0.3}, {"ignore_label": 0}],
    ids=lambda arguments: "+".join(arguments),
)
def test_every_argument_matters(arguments):
    labels, logits = made_batch(ignored=0)
    assert abs(CrossEntropy(**arguments)(labels, logits) - CrossEntropy()(labels, logits)) > 1e-3


def test_fewer_labelled_pixels_than_top_k():
    labels, logits = made_batch(ignored=0.9)
    found = CrossEntropy(top_k=0.3)(labels, logits)
    np.testing.assert_allclose(found, _garden(labels, logits, top_k=0.3), rtol=1e-6)
    np.testing.assert_allclose(found, CrossEntropy()(labels, logits), rtol=1e-6)


def test_by_hand():
    logits = tf.math.log(tf.constant([[0.5, 0.5], [0.25, 0.75]], shape=[1, 1, 2, 2]))
    labels = tf.constant([[[0, 1]]], tf.uint8)
    expected = -(np.log(0.5) + np.log(0.75)) / 2
    np.testing.assert_allclose(CrossEntropy()(labels, logits), expected, rtol=1e-5)


def test_ignored_pixels_have_no_gradient():
    labels = tf.constant([[[0, 255]]])
    logits = tf.constant([[[[1.0, 2.0], [3.0, 5.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = CrossEntropy()(labels, logits)
    gradient = tape.gradient(loss, logits)
    assert np.all(gradient[0, 0, 0] != 0)
    assert np.all(gradient[0, 0, 1] == 0)


@pytest.mark.parametrize("top_k", [1.0, 0.3])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_batch_without_labelled_pixels(top_k, label_smoothing):
    _, logits = made_batch()
    labels = tf.fill([2, 16, 21], 255)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = CrossEntropy(label_smoothing=label_smoothing, top_k=top_k)(labels, logits)
    assert loss == 0
    np.testing.assert_array_equal(tape.gradient(loss, logits), np.zeros(logits.shape))


def test_wrong_number_of_class_weights():
    labels, logits = made_batch()
    with pytest.raises(ValueError, match="3 class weights for 4 classes"):
        CrossEntropy(class_weights=[1, 2, 3])(labels, logits)


def test_size_known_only_at_run_time():
    labels, logits = made_batch()
    signature = [
        tf.TensorSpec([None, None, None], tf.int32),
        tf.TensorSpec([None, None, None, CLASSES]),
    ]
    dynamic = tf.function(CrossEntropy(top_k=0.3).__call__, input_signature=signature)
    expected = CrossEntropy(top_k=0.3)(labels, logits)
    np.testing.assert_allclose(dynamic(labels, logits), expected, rtol=1e-6)


def test_soft_jaccard_by_definition():
    labels, logits = made_batch()
    share = tf.nn.softmax(tf.image.resize(logits, labels.shape[1:3])).numpy()
    values = []
    for index in range(CLASSES):
        truth, known = (labels.numpy() == index), (labels.numpy() != 255)
        both = share[..., index][truth].sum()
        values.append(both / (share[..., index][known].sum() + truth.sum() - both))
    found = SoftJaccard(weight=2.0)(labels, logits)
    np.testing.assert_allclose(found, 2.0 * (1.0 - np.mean(values)), rtol=1e-5)


def test_soft_jaccard_is_one_minus_the_mean_iou_of_sure_answers():
    labels = tf.constant([[[0, 1, 1, 255]]])
    logits = 1e4 * tf.one_hot([[[0, 1, 0, 2]]], 3)
    np.testing.assert_allclose(SoftJaccard()(labels, logits), 1.0 - (1 / 2 + 1 / 2) / 2)
    assert SoftJaccard()(labels, 1e4 * tf.one_hot(labels, 3)) == 0.0


def test_soft_jaccard_without_a_labelled_pixel():
    labels, logits = made_batch(ignored=1.1)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = SoftJaccard()(labels, logits)
    assert loss == 0.0
    assert not np.any(tape.gradient(loss, logits))


def test_sum_of_losses():
    labels, logits = made_batch()
    parts = [CrossEntropy(), SoftJaccard(0.5)]
    expected = sum(float(part(labels, logits)) for part in parts)
    np.testing.assert_allclose(SumOfLosses(parts)(labels, logits), expected, rtol=1e-6)


@pytest.mark.parametrize("loss", [CrossEntropy, SoftJaccard])
def test_another_ignore_label_than_the_data_sets(loss):
    settle(loss(ignore_label=200), own_dataset(200))
    message = rf"{loss.__name__}\.ignore_label = 200: the ignore label of own is 255"
    with pytest.raises(UserError, match=message):
        settle(SumOfLosses([loss(ignore_label=200)]), own_dataset(255))


def test_class_weights_of_another_number_than_the_classes():
    settle(CrossEntropy(class_weights=WEIGHTS), own_dataset(255))
    with pytest.raises(UserError, match="class_weights has 3 values, and own has 4 classes"):
        settle(CrossEntropy(class_weights=WEIGHTS[1:]), own_dataset(255))


def test_a_loss_of_ones_own_is_left_alone():
    settle(lambda labels, logits: 0.0, own_dataset(200))


@pytest.mark.parametrize("setting", [{"top_k": 25}, {"top_k": 0.0}, {"label_smoothing": 1.0}])
def test_shares_are_shares(setting):
    (name,) = setting
    with pytest.raises(UserError, match=rf"CrossEntropy\.{name} = "):
        CrossEntropy(**setting)


def uneven():
    """Two images, of which the second has few labelled pixels."""
    labels, logits = made_batch()
    return np.where(
        np.arange(len(labels))[:, None, None] == 1, np.where(labels == 1, 1, 255), labels
    ), logits


def test_by_image_every_image_weighs_the_same():
    labels, logits = uneven()
    alone = [
        CrossEntropy()(labels[index : index + 1], logits[index : index + 1])
        for index in range(len(labels))
    ]
    found = CrossEntropy(normalization="image")(labels, logits)
    np.testing.assert_allclose(found, np.mean(alone), rtol=1e-6)


def test_by_replica_every_pixel_weighs_the_same():
    labels, logits = uneven()
    by_image = CrossEntropy(normalization="image")(labels, logits)
    assert abs(CrossEntropy(normalization="replica")(labels, logits) - by_image) > 1e-3


def test_by_image_the_hardest_pixels_are_those_of_each_image():
    labels, logits = made_batch()
    alone = [
        CrossEntropy(top_k=0.3)(labels[index : index + 1], logits[index : index + 1])
        for index in range(len(labels))
    ]
    found = CrossEntropy(top_k=0.3, normalization="image")(labels, logits)
    np.testing.assert_allclose(found, np.mean(alone), rtol=1e-6)


def test_an_image_without_labelled_pixels_costs_nothing():
    labels, logits = made_batch()
    labels = np.where(np.arange(len(labels))[:, None, None] == 1, 255, labels)
    found = CrossEntropy(normalization="image")(labels, logits)
    whole = [CrossEntropy()(labels[i : i + 1], logits[i : i + 1]) for i in range(len(labels))]
    np.testing.assert_allclose(found, np.mean(whole), rtol=1e-6)


def test_an_unknown_normalization_is_named():
    with pytest.raises(UserError, match="'pixel': it must be one of replica, image, batch"):
        CrossEntropy(normalization="pixel")


REPLICAS = """
import json, sys
import numpy as np, tensorflow as tf
from mosaic.training.losses import CrossEntropy

count, normalization = int(sys.argv[1]), sys.argv[2]
cpu = tf.config.list_physical_devices("CPU")[0]
logical = [tf.config.LogicalDeviceConfiguration()] * count
tf.config.set_logical_device_configuration(cpu, logical)
strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(count)])
rng = np.random.default_rng(0)
images = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
labels = rng.integers(0, 3, (4, 8, 8))
labels[1, 1:] = 255
labels[3, :, 1:] = 255
with strategy.scope():
    kernel = tf.Variable(rng.normal(size=(3, 3)).astype(np.float32))
each = 4 // count
def value(context, array):
    start = context.replica_id_in_sync_group * each
    return tf.constant(array[start : start + each])
parts = [
    strategy.experimental_distribute_values_from_function(lambda c, a=a: value(c, a))
    for a in (images, labels)
]
def step(x, y):
    with tf.GradientTape() as tape:
        loss = CrossEntropy(normalization=normalization)(y, tf.einsum("bhwi,io->bhwo", x, kernel))
        scaled = loss / count
    return loss, tape.gradient(scaled, kernel)
loss, gradient = tf.function(lambda: strategy.run(step, parts))()
loss = strategy.reduce("MEAN", loss, axis=None)
gradient = strategy.reduce("SUM", gradient, axis=None)
print(json.dumps([float(loss), gradient.numpy().tolist()]))
"""


def with_replicas(count, normalization):
    arguments = [sys.executable, "-c", REPLICAS, str(count), normalization]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    loss, gradient = json.loads(result.stdout.splitlines()[-1])
    return loss, np.array(gradient)


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["image", "batch"])
def test_neither_loss_nor_gradients_depend_on_the_number_of_replicas(normalization):
    loss, gradient = with_replicas(1, normalization)
    for count in (2, 4):
        other, others = with_replicas(count, normalization)
        assert other == pytest.approx(loss, abs=1e-6)
        np.testing.assert_allclose(others, gradient, atol=1e-6)


@pytest.mark.slow
def test_by_replica_they_do():
    assert abs(with_replicas(1, "replica")[0] - with_replicas(4, "replica")[0]) > 1e-3
