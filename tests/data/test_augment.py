"""Tests of the augmentation."""

import numpy as np
import pytest
import tensorflow as tf

from data.pipeline import Augment
from data.window import Window

HEIGHT, WIDTH = 12, 16
IGNORE = 255
# OpenCV's weights have 11 bits, and its products lose up to half a level before they are rounded.
ROUNDING = 0.9


def plain(**kwargs) -> Augment:
    """An augmentation that leaves everything as it is, but for `kwargs`."""
    return Augment(**{"crop_size": (HEIGHT, WIDTH), "scale": (1.0, 1.0), "flip": False, **kwargs})


def example(augment, image, label, seed=0):
    image, label = augment(tf.constant(image), tf.constant(label), [seed, 1], IGNORE)
    return image.numpy(), label.numpy()


def random_example(height=HEIGHT, width=WIDTH):
    rng = np.random.default_rng([height, width])
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    return image, rng.integers(0, 250, (height, width), np.uint8)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


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


@pytest.mark.parametrize("seed", range(8))
def test_scale_and_crop_are_the_gardens(seed):
    from official.vision.ops import preprocess_ops

    tf.random.set_seed(seed)
    image, label = random_example(23, 34)
    crop_size = [16, 21]
    theirs, info = preprocess_ops.resize_and_crop_image(
        tf.constant(image, tf.float32), crop_size, crop_size, 0.5, 2.0, seed=seed
    )
    size, scale, offset = info[0], info[2], info[3]
    # Theirs truncates size * scale: the nudge keeps it from losing a row to float rounding.
    their_label = preprocess_ops.resize_and_crop_masks(
        tf.constant(label[None, ..., None] + 1, tf.float32), scale * 1.00001, crop_size, offset
    )[0, ..., 0]
    scaled, offset = (tuple(np.rint(x).astype(int).tolist()) for x in (size * scale, offset))
    window = Window(tuple(crop_size), scaled, offset, mirrored=False)
    ours = window.image(image, np.zeros(3, np.uint8))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(window.label(label + np.uint8(1), 0), their_label)


@pytest.mark.parametrize("scaled", [(9, 13), (14, 40), (23, 34), (31, 52)])
def test_image_is_mirrored_first_and_then_cut(scaled):
    image, label = random_example(23, 34)
    crop_size = (12, 17)
    offset = tuple(max(0, size - crop - 1) for size, crop in zip(scaled, crop_size, strict=True))
    color = np.array([1, 2, 3], np.uint8)
    mirrored = Window(crop_size, scaled, offset, mirrored=True)
    window = Window(crop_size, scaled, offset, mirrored=False)
    expected = window.image(image[:, ::-1], color)
    # Halves are rounded up on either side.
    assert np.abs(mirrored.image(image, color).astype(int) - expected).max() <= 1
    assert not np.array_equal(window.image(image, color), expected)
    np.testing.assert_array_equal(
        mirrored.label(label, IGNORE), window.label(label[:, ::-1], IGNORE)
    )


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
