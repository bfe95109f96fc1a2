"""Archives: what is in one, and that nothing of it leaves the folder."""

import os
import tarfile

import pytest

from mosaic.utils import archives
from mosaic.utils.errors import UserError


@pytest.fixture
def archive(tmp_path):
    """A .tar.gz with one file in a folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ckpt-7.index").write_text("content")
    with tarfile.open(tmp_path / "run.tar.gz", "w:gz") as file:
        file.add(tmp_path / "in", "run")
    return str(tmp_path / "run.tar.gz")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.tar.gz", True), ("a.tgz", True), ("a.gz", False), ("tar.gz/ckpt-1", False)],
)
def test_an_archive_is_told_by_its_name(path, expected):
    assert archives.is_archive(path) == expected


def test_names(archive):
    assert archives.names(archive) == ["run", "run/ckpt-7.index"]


def test_an_archive_that_cannot_be_read_has_no_names(tmp_path):
    (tmp_path / "page.tar.gz").write_text("<html>404</html>")
    assert archives.names(str(tmp_path / "page.tar.gz")) == []
    assert archives.names(str(tmp_path / "missing.tar.gz")) == []


def test_what_was_unpacked_is_removed_afterwards(archive):
    with archives.unpacked(archive) as folder:
        path = os.path.join(folder, "run", "ckpt-7.index")
        with open(path) as file:
            assert file.read() == "content"
    assert not os.path.exists(folder)


def test_a_missing_archive_is_named(tmp_path):
    path = str(tmp_path / "missing.tar.gz")
    with pytest.raises(UserError, match=r"missing\.tar\.gz: no such file"), archives.unpacked(path):
        pass


def test_a_damaged_archive_is_named(archive):
    with open(archive, "r+b") as file:
        file.truncate(os.path.getsize(archive) // 2)
    with pytest.raises(UserError, match=r"run\.tar\.gz: not a read"), archives.unpacked(archive):
        pass


@pytest.mark.parametrize("has_filters", [True, False])
def test_links_and_files_outside_are_not_unpacked(tmp_path, monkeypatch, has_filters):
    """Neither by Python's filters nor, on early releases of 3.10 and 3.11, without them."""
    path = str(tmp_path / "bad.tar.gz")
    with tarfile.open(path, "w:gz") as file:
        file.addfile(tarfile.TarInfo("../outside"))
    if not has_filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    try:
        with archives.unpacked(path) as folder:
            assert not os.path.exists(os.path.join(folder, "..", "outside"))
    except UserError as error:
        assert has_filters
        assert "not a readable archive" in str(error)


def test_the_nearest_saved_model_counts(tmp_path):
    for folder in ("run/saved_model", "run/exports/old/saved_model"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "saved_model.pb").touch()
    assert archives.saved_model_folder(str(tmp_path)) == str(tmp_path / "run/saved_model")


def test_a_folder_without_a_saved_model_is_returned_as_it_is(tmp_path):
    assert archives.saved_model_folder(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("run/ckpt-7.index", True),
        ("run/ckpt-7.data-00000-of-00001", False),
        ("run/._ckpt-7.index", False),
        ("saved_model/variables/variables.index", False),
    ],
)
def test_a_checkpoints_index_is_told_by_its_path(path, expected):
    assert archives.is_index(path) == expected
