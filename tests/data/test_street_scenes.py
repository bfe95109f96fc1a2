"""Tests of the drawn street scenes and their builder."""

import hashlib

import numpy as np
import pytest

from data.pipeline import Augment
from data.street_scenes import builder, street_scenes
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


# The builder.


def digests(*arrays):
    return tuple(hashlib.sha256(x.tobytes()).hexdigest()[:8] for x in arrays)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return street_scenes(size=(64, 96), num_train=3, num_val=2, data_dir=str(folder))


def test_builder_describes_the_set(small):
    assert small.splits == ("train", "val")
    assert (small.num_images("train"), small.num_images("val")) == (3, 2)
    assert small.image_size == (64, 96)
    assert small.num_classes == NUM_CLASSES
    assert small.ignore_label == IGNORE
    assert (small.class_names[0], small.class_names[18]) == ("road", "bicycle")
    assert small.colors[0] == (128, 64, 128)
    assert small.image_id("val", 1) != small.image_id("train", 1)


@pytest.mark.parametrize(("split", "first"), [("train", 0), ("val", 1_000_000_000)])
def test_builder_delivers_what_is_drawn(small, split, first):
    count = small.num_images(split)
    drawn = dict(digests(*draw_scene(first + i, 64, 96)) for i in range(count))
    found = dict(digests(*small.example(split, i)) for i in range(count))
    assert found.keys() == drawn.keys(), "images differ"
    assert found == drawn, "labels differ"


def test_another_seed_gives_other_scenes(small, tmp_path):
    other = street_scenes(size=(64, 96), num_train=3, num_val=2, seed=1, data_dir=str(tmp_path))
    images = {
        dataset.example(split, i)[0].tobytes()
        for dataset in (small, other)
        for split in dataset.splits
        for i in range(dataset.num_images(split))
    }
    assert len(images) == 10


def test_scenes_are_drawn_once(tmp_path, monkeypatch):
    kwargs = {"size": (64, 64), "num_train": 2, "num_val": 1, "data_dir": str(tmp_path)}
    first = street_scenes(**kwargs).example("train", 0)

    def refuse(*_):
        raise AssertionError("drawn again")

    monkeypatch.setattr(builder, "draw_scene", refuse)
    second = street_scenes(**kwargs).example("train", 0)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_records_go_where_tfds_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    street_scenes(size=(64, 64), num_train=1, num_val=1)
    assert list(tmp_path.rglob("*.array_record*"))


def test_training_batches_come_from_the_scenes(tmp_path):
    augment = Augment(crop_size=(64, 64), scale=(1.0, 1.0), flip=False)
    kwargs = {"size": (64, 64), "num_train": 2, "num_val": 1, "data_dir": str(tmp_path)}
    dataset = street_scenes(**kwargs, augment=augment)
    images, labels = next(dataset.train_batches(2, seed=0).as_numpy_iterator())
    drawn = [draw_scene(seed, 64, 64) for seed in range(2)]
    if not np.array_equal(images[0], drawn[0][0]):
        drawn.reverse()
    for found, label, (image, drawn_label) in zip(images, labels, drawn, strict=True):
        np.testing.assert_array_equal(found, image)
        np.testing.assert_array_equal(label, drawn_label)
