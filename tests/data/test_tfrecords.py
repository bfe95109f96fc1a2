"""TFRecords as the Model Garden has them: which files they are, and the examples in them."""

import pathlib

import pytest
import tensorflow as tf

from data.errors import DataError
from data.label_map import LabelMap
from data.tfrecords import Records, record_files

MAP = LabelMap(("a",), ((0, 0, 0),), labels=(0,), ignore_label=255)


def example(**features):
    lists = {
        name.replace("__", "/"): tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=lists)).SerializeToString()


def write(path, *records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return [pathlib.Path(path)]


def test_record_files_are_told_by_their_names(tmp_path):
    for name in ("val-00001-of-00002", "val-00000-of-00002", "train.tfrecord", "notes.txt"):
        (tmp_path / name).touch()
    found = [path.name for path in record_files(tmp_path)]
    assert found == ["train.tfrecord", "val-00000-of-00002", "val-00001-of-00002"]
    assert record_files(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"image__filename": b"city/a_leftImg8bit.png"}, "a"),
        ({"image__source_id": b"b.jpg"}, "b"),
        ({}, "x.tfrecord_000000"),
    ],
)
def test_an_example_is_called_by_its_file(tmp_path, names, expected):
    files = write(tmp_path / "x.tfrecord", example(image__encoded=b"png", **names))
    (pair,) = Records(files, "_leftImg8bit", MAP, labelled=False)
    assert pair.id == expected
    assert pair.image.read() == b"png"


def test_a_record_without_an_image_is_told_with_what_it_has(tmp_path):
    (pair,) = Records(write(tmp_path / "x.tfrecord", example(picture=b"png")), "", MAP)
    with pytest.raises(DataError, match="record 0: no image/encoded; its features: picture"):
        pair.image.read()


def test_a_label_that_lacks_is_told(tmp_path):
    (pair,) = Records(write(tmp_path / "x.tfrecord", example(image__encoded=b"png")), "", MAP)
    with pytest.raises(DataError, match="no image/segmentation/class/encoded"):
        pair.label.read()


def test_a_file_that_was_cut_off_is_told_after_its_whole_records(tmp_path):
    files = write(tmp_path / "x.tfrecord", *[example(image__encoded=b"png")] * 2)
    files[0].write_bytes(files[0].read_bytes()[:-4])
    first, second = Records(files, "", MAP, labelled=False)
    assert first.image.read() == b"png"
    with pytest.raises(DataError, match=r"x\.tfrecord: .*damaged after 1 records"):
        second.image.read()


def test_a_record_that_is_no_example_is_told(tmp_path):
    (pair,) = Records(write(tmp_path / "x.tfrecord", b"\xff\xff\xff"), "", MAP)
    with pytest.raises(DataError, match=r"x\.tfrecord, record 0: no tf\.train\.Example"):
        pair.image.read()
