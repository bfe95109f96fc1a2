"""Augmentation, the training stream and the evaluation stream."""

import time

import numpy as np
import pytest
import tensorflow as tf

from data.pipeline import Augment, Shard, eval_batches, train_batches
from examples import ROUNDING, random_example

HEIGHT, WIDTH = 12, 16
IGNORE = 255


def plain(**kwargs) -> Augment:
    """An augmentation that leaves everything as it is, but for `kwargs`."""
    return Augment(**{"crop_size": (HEIGHT, WIDTH), "scale": (1.0, 1.0), "flip": False, **kwargs})


BUSY = plain(scale=(0.5, 2.0), flip=True, brightness=0.2, contrast=0.3, saturation=0.3)


def numbered(index):
    """A record whose every pixel is its index."""
    value = tf.cast(index, tf.uint8)
    return tf.fill([HEIGHT, WIDTH, 3], value), tf.fill([HEIGHT, WIDTH], value)


def textured(index):
    """A record of noise, another one for every index."""
    seed = tf.stack([index, 7])
    image = tf.random.stateless_uniform([HEIGHT, WIDTH, 3], seed, 0, 256, tf.int32)
    label = tf.random.stateless_uniform([HEIGHT, WIDTH], seed, 0, 11, tf.int32)
    return tf.cast(image, tf.uint8), tf.cast(label, tf.uint8)


def stream(load, steps, augment=None, num_records=10, batch_size=4, seed=3, **kwargs):
    """The first `steps` batches, as (images, labels) with a leading axis of steps."""
    augment = augment or plain()
    batches = train_batches(load, num_records, augment, IGNORE, batch_size, seed, **kwargs)
    images, labels = zip(*batches.take(steps).as_numpy_iterator(), strict=True)
    return np.stack(images), np.stack(labels)


def records(steps, **kwargs):
    """Which records the first `steps` batches hold, [steps, batch]."""
    return stream(numbered, steps, **kwargs)[1][..., 0, 0]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


# The stream.


def test_batches_are_uint8_of_the_crop_size():
    images, labels = stream(textured, 2, plain(crop_size=(9, 17)))
    assert images.shape == (2, 4, 9, 17, 3)
    assert labels.shape == (2, 4, 9, 17)
    assert images.dtype == labels.dtype == np.uint8
    spec = train_batches(textured, 10, plain(), IGNORE, 4, seed=0).element_spec
    assert spec[0].shape.as_list() == [4, HEIGHT, WIDTH, 3]
    assert spec[1].shape.as_list() == [4, HEIGHT, WIDTH]


@pytest.mark.parametrize("start", [1, 4, 5])
def test_starting_at_a_step_gives_the_same_batches(start):
    images, labels = stream(textured, 7, BUSY)
    later = stream(textured, 7 - start, BUSY, start_step=start)
    assert same(later, (images[start:], labels[start:]))


@pytest.mark.parametrize("num_workers", [2, 4])
@pytest.mark.parametrize("start", [0, 3])
def test_workers_share_the_global_batch(num_workers, start):
    whole = stream(textured, 4, BUSY, start_step=start)
    parts = [
        stream(textured, 4, BUSY, start_step=start, shard=Shard(i, num_workers))
        for i in range(num_workers)
    ]
    assert same((np.concatenate(part, axis=1) for part in zip(*parts, strict=True)), whole)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_replicas_share_their_workers_slice(num_workers):
    worker = num_workers - 1
    whole = stream(textured, 3, BUSY, start_step=2, shard=Shard(worker, num_workers))
    parts = stream(textured, 6, BUSY, start_step=2, shard=Shard(worker, num_workers, 2))
    assert parts[0].shape[1] == 4 // num_workers // 2
    assert same((part.reshape(x.shape) for part, x in zip(parts, whole, strict=True)), whole)


@pytest.mark.parametrize("threads", [1, 8])
def test_order_does_not_depend_on_which_reader_is_done_first(threads):
    def delay(index):
        time.sleep(0.02 * (index % 3 == 0))
        return index

    def slow(index):
        return textured(tf.ensure_shape(tf.numpy_function(delay, [index], tf.int64), []))

    batches = train_batches(slow, 10, BUSY, IGNORE, 4, seed=3)
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    # Fusing map and batch would hide an order that depends on the readers.
    options.experimental_optimization.apply_default_optimizations = False
    found = list(batches.with_options(options).take(6).as_numpy_iterator())
    images, labels = stream(textured, 6, BUSY)
    assert same([x for x, _ in found], images)
    assert same([y for _, y in found], labels)


def test_another_seed_gives_another_order():
    assert not np.array_equal(records(5, seed=3), records(5, seed=4))


def test_another_seed_gives_another_augmentation():
    only = {"num_records": 1, "augment": BUSY}
    assert same(stream(textured, 2, seed=3, **only), stream(textured, 2, seed=3, **only))
    assert not same(stream(textured, 2, seed=3, **only), stream(textured, 2, seed=4, **only))


def test_a_record_is_augmented_anew_every_time():
    images, _ = stream(textured, 3, BUSY, num_records=1)
    flat = images.reshape(12, -1)
    assert len(np.unique(flat, axis=0)) == 12


@pytest.mark.parametrize("num_records", [1, 2, 7, 10])
def test_every_pass_holds_every_record_once(num_records):
    batch_size, passes = 3, 6
    steps = num_records * passes // batch_size
    found = records(steps, num_records=num_records, batch_size=batch_size)
    orders = found.reshape(passes, num_records)
    assert (np.sort(orders, axis=1) == np.arange(num_records)).all()


def test_every_pass_has_an_order_of_its_own():
    orders = records(20, num_records=10).reshape(8, 10)
    assert len(np.unique(orders, axis=0)) > 4
    assert not (orders == np.arange(10)).all(1).any()


def test_reaching_a_step_reads_nothing_before_it():
    reads = []

    def count(index):
        reads.append(int(index))
        return index

    def load(index):
        return numbered(tf.ensure_shape(tf.numpy_function(count, [index], tf.int64), []))

    batches = train_batches(load, 100, plain(), IGNORE, 4, seed=3, start_step=5_000)
    batch = next(iter(batches))[1][:, 0, 0].numpy()
    # Some records are read ahead: a few batches at most, nothing like the 20000 before.
    assert 4 <= len(reads) < 1000
    assert set(batch.tolist()) <= set(reads)
    assert batch.tolist() == records(1, num_records=100, start_step=5_000)[0].tolist()


@pytest.mark.parametrize("shard", [Shard(0, 3), Shard(0, 2, 4)])
def test_batch_must_divide_among_workers_and_replicas(shard):
    with pytest.raises(ValueError, match="batch size 4 does not divide among"):
        train_batches(textured, 10, plain(), IGNORE, 4, seed=0, shard=shard)


def test_a_shard_is_what_a_strategy_asks_for():
    context = tf.distribute.InputContext(2, 1, 6)
    assert Shard.of(context) == Shard(worker=1, num_workers=2, num_replicas=3)


def test_without_a_strategy_a_shard_is_all():
    assert Shard.of(None) == Shard(0, 1, 1)


def test_an_empty_split_is_refused():
    with pytest.raises(ValueError, match="empty"):
        train_batches(textured, 0, plain(), IGNORE, 4, seed=0)


# The evaluation stream.


def sized(index):
    """A record whose size and pixels tell its index."""
    height = tf.cast(index, tf.int32) + 5
    value = tf.cast(index, tf.uint8)
    return tf.fill([height, 2 * height, 3], value), tf.fill([height, 2 * height], value)


def test_evaluation_gives_every_image_once_in_order_at_its_own_size():
    found = list(eval_batches(sized, 7, 1, 255).as_numpy_iterator())
    assert len(found) == 7
    for index, (image, label) in enumerate(found):
        assert image.shape == (1, index + 5, 2 * index + 10, 3)
        assert label.shape == (1, index + 5, 2 * index + 10)
        assert (image == index).all()
        assert (label == index).all()


def test_last_evaluation_batch_may_be_smaller():
    found = [y[:, 0, 0].tolist() for _, y in eval_batches(numbered, 7, 3, 255).as_numpy_iterator()]
    assert found == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_end_of_evaluation_waits_for_no_tuner():
    assert eval_batches(numbered, 7, 3, 255).options().autotune.enabled is False


@pytest.mark.parametrize("num_workers", [1, 2, 3, 9])
def test_evaluation_workers_cover_the_split_once(num_workers):
    found = []
    for worker in range(num_workers):
        batches = eval_batches(numbered, 7, 2, 255, Shard(worker, num_workers))
        found += [i for _, label in batches.as_numpy_iterator() for i in label[:, 0, 0].tolist()]
    assert sorted(index for index in found if index != 255) == list(range(7))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_evaluation_is_filled_up_with_ignored_images_for_replicas_in_step(num_workers):
    found, counts = [], []
    for worker in range(num_workers):
        batches = eval_batches(numbered, 7, 2, 255, Shard(worker, num_workers, 2))
        labels = [label[:, 0, 0].tolist() for _, label in batches.as_numpy_iterator()]
        counts.append(len(labels))
        found += [i for batch in labels for i in batch]
    assert counts == [4 // num_workers] * num_workers
    assert sorted(found) == [*range(7), 255]


# The augmentation.


def example(augment, image, label, seed=0):
    image, label = augment(tf.constant(image), tf.constant(label), [seed, 1], IGNORE)
    return image.numpy(), label.numpy()


@pytest.mark.parametrize("seed", range(3))
def test_nothing_asked_nothing_changed(seed):
    image, label = random_example()
    assert same(example(plain(), image, label, seed), (image, label))


def test_flip_mirrors_image_and_label_together():
    image, label = random_example()
    mirrored = []
    for seed in range(24):
        found = example(plain(flip=True), image, label, seed)
        mirrored.append(same(found, (image[:, ::-1], label[:, ::-1])))
        assert mirrored[-1] or same(found, (image, label))
    assert 4 <= sum(mirrored) <= 20


def resized(image, label, factor, crop_size):
    """The whole image and label, fitted into `factor` times the crop by TensorFlow's resize."""
    size = np.array(label.shape, np.float32)
    fitted = np.rint(np.float32(factor) * np.array(crop_size, np.float32))
    scaled = np.rint(size * (fitted / size).min()).astype(int)
    image = tf.image.resize(image, scaled).numpy()
    return image, tf.image.resize(label[..., None], scaled, "nearest").numpy()[..., 0]


@pytest.mark.parametrize("size", [(12, 16), (20, 17), (9, 31)])
@pytest.mark.parametrize("factor", [1.3, 1.75, 2.0])
def test_enlarged_crop_is_a_window_of_the_resized_whole(size, factor):
    crop_size = (10, 14)
    image, label = random_example(*size)
    whole, whole_label = resized(image, label, factor, crop_size)
    augment = plain(crop_size=crop_size, scale=(factor, factor))
    height, width = np.minimum(crop_size, whole_label.shape)
    windows = np.lib.stride_tricks.sliding_window_view(whole_label, (height, width))
    offsets = set()
    for seed in range(6):
        found, found_label = example(augment, image, label, seed)
        places = np.argwhere((windows == found_label[:height, :width]).all((2, 3)))
        assert len(places) == 1, "the label is no window of the resized label"
        ((y, x),) = places
        expected = whole[y : y + height, x : x + width]
        assert np.abs(found[:height, :width] - expected).max() <= ROUNDING
        offsets.add((y, x))
    assert len(offsets) > 1


@pytest.mark.parametrize("size", [(12, 16), (20, 17), (9, 31)])
@pytest.mark.parametrize("factor", [0.5, 0.77, 1.0])
def test_reduced_image_is_padded_at_the_bottom_and_right(size, factor):
    image, label = random_example(*size)
    crop_size = (11, 17)
    whole, whole_label = resized(image, label, factor, crop_size)
    height, width = whole_label.shape
    augment = plain(crop_size=crop_size, scale=(factor, factor), pad_color=(123.675, 0.2, 103.5))
    found, found_label = example(augment, image, label)
    assert found.dtype == found_label.dtype == np.uint8
    assert np.abs(found[:height, :width] - whole).max() <= ROUNDING
    np.testing.assert_array_equal(found_label[:height, :width], whole_label)
    padding = np.ones(crop_size, bool)
    padding[:height, :width] = False
    assert padding.any()
    assert (found_label[padding] == IGNORE).all()
    assert (found[padding] == (124, 0, 104)).all()


def test_padding_takes_the_given_ignore_label():
    image, label = random_example()
    augment = plain(crop_size=(HEIGHT + 3, WIDTH), scale=(1.0, 1.0))
    _, found = augment(tf.constant(image), tf.constant(label), [0, 1], 42)
    assert (found.numpy()[HEIGHT:] == 42).all()
    assert (found.numpy()[:HEIGHT] == label).all()


def test_factors_fill_their_range():
    image = np.full((40, 40, 3), 9, np.uint8)
    label = np.zeros((40, 40), np.uint8)
    augment = plain(crop_size=(40, 40), scale=(0.5, 1.0))
    heights = [
        int((example(augment, image, label, seed)[1][:, 0] != IGNORE).sum()) for seed in range(40)
    ]
    assert 20 <= min(heights) < 24
    assert 36 < max(heights) <= 40


JITTER = ["brightness", "contrast", "saturation"]


@pytest.mark.parametrize("kind", JITTER)
def test_jitter_changes_the_image_but_not_the_label(kind):
    image, label = random_example()
    found, found_label = example(plain(**{kind: 0.5}), image, label)
    assert found.dtype == np.uint8
    assert not np.array_equal(found, image)
    np.testing.assert_array_equal(found_label, label)


@pytest.mark.parametrize("seed", range(6))
def test_jitter_is_contrast_then_saturation_then_brightness(seed):
    image, label = random_example()
    augment = plain(brightness=0.2, contrast=0.4, saturation=0.6)
    found, _ = example(augment, image, label, seed)
    draws = 2 * tf.random.stateless_uniform([7], [seed, 1]).numpy()[4:] - 1
    expected = (image - image.mean()) * (1 + 0.4 * draws[1]) + image.mean()
    grey = expected.mean(-1, keepdims=True)
    expected = (expected - grey) * (1 + 0.6 * draws[2]) + grey + 255 * 0.2 * draws[0]
    assert np.abs(found - np.clip(expected, 0, 255)).max() <= 1


@pytest.mark.parametrize("level", [0, 100, 255])
def test_brightness_shifts_all_pixels_within_its_share(level):
    # An odd size, as conversions of whole vectors saturate by themselves.
    image, label = np.full((7, 5, 3), level, np.uint8), random_example(7, 5)[1]
    augment = plain(crop_size=(7, 5), brightness=0.2)
    shifted = [example(augment, image, label, seed)[0] for seed in range(12)]
    levels = {int(x[0, 0, 0]) for x in shifted}
    assert all((x == x[0, 0, 0]).all() for x in shifted)
    assert len(levels) > 3
    # A value out of range ends at its end; it does not wrap around.
    assert max(0, level - 51) <= min(levels) <= max(levels) <= min(255, level + 51)


def test_contrast_stretches_around_the_mean():
    image = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    image[::2] = 130
    label = random_example()[1]
    spreads = set()
    for seed in range(12):
        found = example(plain(contrast=0.5), image, label, seed)[0].astype(int)
        assert abs(found.mean() - 120) <= 0.5
        spreads.add(found[0, 0, 0] - found[1, 0, 0])
    assert 9 <= min(spreads) < 20 < max(spreads) <= 31


def test_contrast_leaves_an_even_image_that_is_padded():
    image, label = np.full((HEIGHT, WIDTH, 3), 100, np.uint8), random_example()[1]
    augment = plain(scale=(0.5, 0.5), contrast=0.5)
    for seed in range(4):
        found, _ = example(augment, image, label, seed)
        assert (found[: HEIGHT // 2, : WIDTH // 2] == 100).all()


def test_saturation_stretches_distances_from_grey():
    image = np.full((HEIGHT, WIDTH, 3), (90, 120, 150), np.uint8)
    image[0] = 70
    label = random_example()[1]
    spreads = set()
    for seed in range(12):
        found = example(plain(saturation=0.5), image, label, seed)[0].astype(int)
        assert (found[0] == 70).all()
        assert (found[1:, :, 1] == 120).all()
        spreads.add(int(found[1, 0, 2] - found[1, 0, 0]))
    assert 29 <= min(spreads) < 60 < max(spreads) <= 91


@pytest.mark.parametrize("pad_color", [(10.0, 20.0, 30.0), (10, 20, 30)])
def test_padding_is_not_jittered(pad_color):
    image, label = random_example()
    augment = plain(scale=(0.5, 0.5), brightness=0.5, contrast=0.5, pad_color=pad_color)
    found, _ = example(augment, image, label)
    assert (found[HEIGHT // 2 :] == (10, 20, 30)).all()
