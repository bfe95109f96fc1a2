"""Data sets on TensorFlow's file system in memory, which is no folder of this machine."""

import pathlib
import uuid

import pytest
import tensorflow as tf
from tensorflow.python.lib.io import file_io

from data import remote_files
from data.errors import DataError

GONE = tf.errors.AbortedError(None, None, "All 10 retry attempts failed")


@pytest.fixture
def url(monkeypatch, tmp_path):
    """A data set that no other test has."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    url = f"ram://{uuid.uuid4().hex}/set"
    for name in ("images/a.png", "masks/a.png"):
        tf.io.gfile.makedirs(f"{url}/{name.partition('/')[0]}")
        with tf.io.gfile.GFile(f"{url}/{name}", "w") as file:
            file.write(name)
    return url


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in pathlib.Path(folder).rglob("*.png"))


def test_files_are_copied_once(url):
    folder = remote_files.local_root(url)
    assert files_in(folder) == ["images/a.png", "masks/a.png"]
    tf.io.gfile.remove(f"{url}/images/a.png")
    assert remote_files.local_root(f"{url}/") == folder


@pytest.mark.parametrize("call", ["Stat", "GetChildren"])
def test_a_storage_that_does_not_answer_leaves_no_part_of_a_copy(url, monkeypatch, call, tmp_path):
    def gone(*arguments):
        raise GONE

    with monkeypatch.context() as context:
        context.setattr(file_io._pywrap_file_io, call, gone)
        with pytest.raises(DataError, match=r"set: cannot be read \(All 10 retry"):
            remote_files.local_root(url)
    assert files_in(tmp_path) == []
    assert files_in(remote_files.local_root(url)) == ["images/a.png", "masks/a.png"]


def test_a_folder_inside_that_does_not_answer_is_not_left_out(url, monkeypatch):
    children = file_io._pywrap_file_io.IsDirectory

    def gone(path):
        if tf.compat.as_str(path).rstrip("/").endswith("masks"):
            raise GONE
        return children(path)

    monkeypatch.setattr(file_io._pywrap_file_io, "IsDirectory", gone)
    with pytest.raises(DataError, match="cannot be read"):
        remote_files.local_root(url)


def test_two_processes_that_copy_at_once_share_what_the_first_has(url, monkeypatch):
    first = remote_files.local_root(url)
    answers = iter((False, True))  # not there at the start
    monkeypatch.setattr(pathlib.Path, "is_dir", lambda path: next(answers))
    assert remote_files.local_root(url) == first
    monkeypatch.undo()
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_a_url_of_nothing(url):
    with pytest.raises(DataError, match="gs://: no bucket or folder is named"):
        remote_files.local_root("gs://")
