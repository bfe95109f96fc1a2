"""Archives: what is in one, and that nothing of it leaves the folder."""

import gzip
import io
import os
import pathlib
import shutil
import tarfile
import types
import zipfile

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
    [
        ("a.tar.gz", True),
        ("a.tgz", True),
        ("a.tar", True),
        ("a.tar.bz2", True),
        ("a.gz", False),
        ("tar.gz/ckpt-1", False),
    ],
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
    assert archives.saved_model_folder(str(tmp_path), "x") == str(tmp_path / "run/saved_model")


def test_a_pipe_is_no_archive(tmp_path):
    path = str(tmp_path / "x.tar.gz")
    os.mkfifo(path)
    assert archives.names(path) == []
    with pytest.raises(UserError, match="a pipe or a device"), archives.unpacked(path):
        pass


def test_several_saved_models_side_by_side_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "saved_model.pb").touch()
    with pytest.raises(UserError, match=r"^x: several SavedModels in it \(a, b\); unpack it"):
        archives.saved_model_folder(str(tmp_path), "x")


def test_a_folder_without_a_saved_model_is_returned_as_it_is(tmp_path):
    assert archives.saved_model_folder(str(tmp_path), "x") == str(tmp_path)


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


def _packed(path, *members, mode="w:gz"):
    """Writes an archive of (name, bytes) and of entries as they are."""
    with tarfile.open(path, mode) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            file.addfile(info, io.BytesIO(member[1]))
    return str(path)


def _link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in pathlib.Path(folder).rglob("*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_left_out(tmp_path, kind):
    path = _packed(tmp_path / "a.tar.gz", ("a/real", b"1"), _link("a/other", "real", kind))
    with archives.unpacked(path) as folder:
        assert _files(folder) == ["a", "a/real"]


def test_a_chain_of_links_longer_than_a_path_may_be_leads_nowhere(tmp_path):
    """Python's own filter is led outside by it (CVE-2025-4517)."""
    victim, long, place, entries = tmp_path / "victim", "d" * 247, "", []
    victim.write_text("before")
    for step in "abcdefghijklmnop":
        folder = tarfile.TarInfo(f"{place}{long}")
        folder.type = tarfile.DIRTYPE
        entries += [folder, _link(f"{place}{step}", long)]
        place += f"{step}/"
    entries += [_link(f"{place}{'l' * 254}", "../" * 16), _link("e", f"{place}{'l' * 254}/..")]
    entries += [_link("f", f"e/..{victim}", tarfile.LNKTYPE), ("f", b"after"), ("e/new", b"x")]
    with archives.unpacked(_packed(tmp_path / "bad.tar.gz", *entries)) as folder:
        assert not any(os.path.islink(os.path.join(folder, name)) for name in _files(folder))
        assert not os.path.exists(os.path.join(os.path.dirname(folder), "new"))
    assert victim.read_text() == "before"


@pytest.mark.parametrize("name", ["../out", "a/../../out", "{0}/out", "..\\out", "C:/out", "a/.."])
def test_places_outside_are_left_out_and_told(tmp_path, capsys, name):
    name = name.format(tmp_path)
    path = _packed(tmp_path / "bad.tar.gz", (name, b"1"), ("./good", b"2"))
    with archives.unpacked(path) as folder:
        assert _files(folder) == ["good"]
        assert not os.path.exists(os.path.join(folder, "..", "out"))
    assert not (tmp_path / "out").exists()
    assert f"bad.tar.gz: {name!r} has a place outside" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["MAX_BYTES", "MAX_MEMBERS"])
def test_an_archive_over_a_limit_is_named(tmp_path, monkeypatch, name):
    path = _packed(tmp_path / "bomb.tar.gz", ("a", bytes(3000)), ("b", bytes(3000)))
    monkeypatch.setattr(archives, name, {"MAX_BYTES": 5000, "MAX_MEMBERS": 1}[name])
    told = pytest.raises(UserError, match=r"bomb\.tar\.gz: more than .* the limit")
    with told, archives.unpacked(path):
        pass
    assert archives.names(path) == []


def test_an_archive_larger_than_the_disk_is_named(tmp_path, monkeypatch):
    path = _packed(tmp_path / "bomb.tar.gz", ("a", bytes(3000)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=2000))
    with pytest.raises(UserError, match=r"bomb\.tar\.gz: more than"), archives.unpacked(path):
        pass


def test_a_header_that_would_fill_the_memory_is_named(tmp_path):
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, 2**30
    with gzip.open(tmp_path / "bomb.tar.gz", "wb") as file:
        file.write(info.tobuf() + bytes(10000))
    path = str(tmp_path / "bomb.tar.gz")
    with pytest.raises(UserError, match=r"bomb\.tar\.gz: a header of"), archives.unpacked(path):
        pass


@pytest.mark.parametrize("mode", ["w", "w:bz2", "w:xz"])
def test_other_compressions_under_the_same_name_are_read(tmp_path, mode):
    path = _packed(tmp_path / "a.tar.gz", ("a/b", b"1"), mode=mode)
    with archives.unpacked(path) as folder:
        assert _files(folder) == ["a", "a/b"]


def test_a_zips_file_over_the_limit_is_named(monkeypatch):
    content = io.BytesIO()
    monkeypatch.setattr(archives, "MAX_TEXT", 99)
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("small", "1")
        archive.writestr("large", bytes(100))
        assert archives.zip_member(archive, "small", "x.tflite") == b"1"
        with pytest.raises(UserError, match=r"x\.tflite: large of 100 bytes"):
            archives.zip_member(archive, "large", "x.tflite")
