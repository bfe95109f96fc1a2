"""A data set from its records: batches, splits, and how labels are kept."""

import pathlib
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from camvid_folders import HEIGHT, WIDTH, indices, load, write_split
from data.camvid import camvid
from data.errors import DataError
from data.records import encode_label
from mosaic.cli import explain


def pixels(png):
    """The rows of a PNG of one 8-bit channel before its filters are undone, with their numbers."""
    at, content = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            content += png[at + 8 : at + 8 + length]
        at += length + 12
    return np.frombuffer(zlib.decompress(content), np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 128)])
def test_labels_are_what_they_were(size):
    label = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    png = encode_label(label)
    found = tf.io.decode_image(png, channels=1)
    np.testing.assert_array_equal(found[..., 0], label)


def test_rows_of_labels_have_no_filter_to_undo():
    label = np.random.default_rng(0).integers(0, 19, (32, 64), np.uint8)
    rows = pixels(encode_label(label)).reshape(32, 65)
    np.testing.assert_array_equal(rows[:, 0], 0)
    np.testing.assert_array_equal(rows[:, 1:], label)


def test_even_labels_stay_small():
    assert len(encode_label(np.zeros((512, 512), np.uint8))) < 4_000


def test_training_batches_hold_every_image_with_its_label(tree, dataset):
    images, labels = next(dataset.train_batches(5, seed=1).as_numpy_iterator())
    found = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert len(found) == 5
    for image, label in tree[1]["train"].values():
        np.testing.assert_array_equal(found[image.tobytes()], indices(label))


def test_evaluation_batches_are_in_the_order_of_the_examples(tree, dataset):
    batches = list(dataset.eval_batches("val", batch_size=2).as_numpy_iterator())
    assert [len(images) for images, _ in batches] == [2, 1]
    names = [dataset.image_id("val", i) for i in range(3)]
    assert sorted(names) == sorted(tree[1]["val"])
    for name, image in zip(names, np.concatenate([x for x, _ in batches]), strict=True):
        np.testing.assert_array_equal(image, tree[1]["val"][name][0])


def test_images_of_several_sizes_are_evaluated_one_by_one(tmp_path):
    write_split(tmp_path, "train", 1)
    write_split(tmp_path, "val", 2, size=(20, 30))
    dataset = load(tmp_path)
    assert dataset.image_size is None
    batches = list(dataset.eval_batches("val", batch_size=2).as_numpy_iterator())
    assert [images.shape for images, _ in batches] == [(1, 20, 30, 3)] * 2
    assert next(dataset.train_batches(2, 0).as_numpy_iterator())[0].shape == (2, HEIGHT, WIDTH, 3)


def test_unknown_split_is_named(dataset):
    with pytest.raises(DataError, match=r"no split 'test'.*train, val"):
        dataset.num_images("test")


def test_training_needs_an_augmentation(tree):
    with pytest.raises(DataError, match="augment"):
        camvid(str(tree[0])).train_batches(2, seed=0)


def _damaged(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "records"))
    write_split(tmp_path / "in", "train", 1)
    load(tmp_path / "in")
    (shard,) = (tmp_path / "records").rglob("*.array_record*")
    damage(shard)
    return shard.parent, load(tmp_path / "in")


def _flip(shard):
    content = bytearray(shard.read_bytes())
    content[content.index(b"IHDR") + 40] ^= 255
    shard.write_bytes(content)


@pytest.mark.parametrize("damage", [_flip, pathlib.Path.unlink])
def test_damaged_records_are_told_with_their_folder(tmp_path, monkeypatch, damage):
    folder, dataset = _damaged(tmp_path, monkeypatch, damage)
    with pytest.raises(DataError, match=rf"{folder}: damaged records .*delete this folder"):
        dataset.example("train", 0)


@pytest.mark.parametrize("name", ["dataset_info.json", "metadata.json"])
def test_records_without_their_description_are_damaged(tmp_path, monkeypatch, name):
    def damage(shard):
        (shard.parent / name).unlink()

    with pytest.raises(DataError, match=rf"damaged records \({name} is missing\)"):
        _damaged(tmp_path, monkeypatch, damage)


def test_damage_in_a_batch_is_one_line_of_the_command(tmp_path, monkeypatch):
    folder, dataset = _damaged(tmp_path, monkeypatch, _flip)
    with pytest.raises(tf.errors.OpError) as error:
        next(iter(dataset.eval_batches("train")))
    code, line = explain(error.value)
    assert code == 2
    assert line.startswith(f"{folder}: damaged records")
