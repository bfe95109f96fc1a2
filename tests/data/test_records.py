"""Where prepared records go, and what is told where they cannot."""

import pathlib
import tempfile

import pytest

from data.errors import DataError
from data.records import records_dir
from data.street_scenes import street_scenes

SMALL = {"size": (64, 64), "num_train": 1, "num_val": 1}


@pytest.mark.parametrize("value", [None, ""])
def test_records_go_home_without_another_place(value, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TFDS_DATA_DIR")
    if value is not None:
        monkeypatch.setenv("TFDS_DATA_DIR", value)
    assert records_dir() == str(tmp_path / "tensorflow_datasets")


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("TFDS_DATA_DIR", "~/records")
    street_scenes(**SMALL)
    assert list((tmp_path / "me" / "records").rglob("*.array_record*"))
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("place", ["/proc/records", "a file"])
def test_a_place_that_cannot_be_written_to_is_named(place, tmp_path, monkeypatch):
    if place == "a file":
        (tmp_path / "file").touch()
        place = str(tmp_path / "file")
    monkeypatch.setenv("TFDS_DATA_DIR", place)
    with pytest.raises(DataError, match=f"^TFDS_DATA_DIR={place}: .* cannot be written to"):
        street_scenes(**SMALL)


def test_a_folder_of_the_users_own_is_named(tmp_path):
    with pytest.raises(DataError, match=r"^data_dir=/proc/x.* cannot be written to"):
        street_scenes(**SMALL, data_dir="/proc/x")


def test_prepared_records_are_only_read(tmp_path, monkeypatch):
    street_scenes(**SMALL, data_dir=str(tmp_path))
    monkeypatch.setattr("data.records._check_writable", lambda folder: pathlib.Path("/x").stat())
    street_scenes(**SMALL, data_dir=str(tmp_path))


def test_no_temporary_folder_is_left(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    street_scenes(**SMALL, data_dir=str(tmp_path / "records"))
    assert not list((tmp_path / "temporary").iterdir())
