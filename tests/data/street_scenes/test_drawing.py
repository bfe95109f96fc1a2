"""Drawn street scenes: what is in them, and what does not suffice to segment them."""

import numpy as np
import pytest

from data.street_scenes.drawing import draw_scene

NUM_CLASSES, IGNORE = 19, 255


@pytest.fixture(scope="module")
def scenes():
    """60 scenes of 128x256: images and labels."""
    images, labels = zip(*(draw_scene(seed) for seed in range(60)), strict=True)
    return np.stack(images), np.stack(labels)


def mean_iou(predicted, labels):
    """Mean IoU over the 19 classes, of pixels that are not ignored."""
    valid = labels != IGNORE
    pairs = labels[valid].astype(int) * NUM_CLASSES + predicted[valid]
    confusion = np.bincount(pairs, minlength=NUM_CLASSES**2).reshape(NUM_CLASSES, NUM_CLASSES)
    hits = np.diag(confusion)
    return (hits / np.maximum(confusion.sum(0) + confusion.sum(1) - hits, 1)).mean()


@pytest.mark.parametrize("size", [(64, 64), (100, 300), (128, 256), (301, 97)])
@pytest.mark.parametrize("seed", [0, 1_000_000_000])
def test_a_scene_is_a_function_of_its_seed_and_size(size, seed):
    image, label = draw_scene(seed, *size)
    assert image.shape == (*size, 3)
    assert label.shape == size
    assert image.dtype == label.dtype == np.uint8
    again, label_again = draw_scene(seed, *size)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(label, label_again)
    other, other_label = draw_scene(seed + 1, *size)
    assert (image != other).mean() > 0.5
    assert (label != other_label).any()


def test_labels_are_train_ids(scenes):
    assert set(np.unique(scenes[1]).tolist()) <= {*range(NUM_CLASSES), IGNORE}


def test_every_class_is_in_a_small_set(scenes):
    assert set(range(NUM_CLASSES)) <= set(np.unique(scenes[1]).tolist())


def test_few_pixels_are_ignored(scenes):
    assert 0 < (scenes[1] == IGNORE).mean() < 0.1


def test_one_class_everywhere_is_a_poor_answer(scenes):
    labels = scenes[1]
    scores = [mean_iou(np.full(labels.shape, i), labels) for i in range(NUM_CLASSES)]
    assert max(scores) < 0.05


@pytest.mark.parametrize("balanced", [False, True])
def test_colour_alone_is_a_poor_answer(scenes, balanced):
    """A table from colour (16 levels a channel) to class, from 40 scenes, judged on 20."""
    images, labels = scenes
    red, green, blue = np.moveaxis(images.astype(int) // 16, -1, 0)
    colours = (red * 16 + green) * 16 + blue
    known = labels[:40] != IGNORE
    counts = np.zeros((16**3, NUM_CLASSES))
    np.add.at(counts, (colours[:40][known], labels[:40][known]), 1)
    if balanced:
        counts /= counts.sum(0)
    assert mean_iou(counts.argmax(1)[colours[40:]], labels[40:]) < 0.15
