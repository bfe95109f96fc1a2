"""The records of drawn street scenes: what is in them, and when they are drawn."""

import hashlib

import numpy as np
import pytest

from data.pipeline import Augment
from data.street_scenes import builder, street_scenes
from data.street_scenes.drawing import draw_scene

NUM_CLASSES, IGNORE = 19, 255


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


def digests(*arrays):
    return tuple(hashlib.sha256(x.tobytes()).hexdigest()[:8] for x in arrays)
