"""Files and folders that are written whole or not at all."""

import errno
import os
import subprocess
import sys
import tempfile
import time

import pytest

from mosaic.utils.atomic_io import (
    Replacing,
    check_writable,
    locked,
    remove_leftovers,
    replacing,
    scratch,
    write_text,
)
from mosaic.utils.errors import UserError


def _write(path, text, folder):
    if folder:
        path.mkdir()
        (path / "inner").write_text(text)
    else:
        path.write_text(text)


def _text(path):
    return (path / "inner").read_text() if path.is_dir() else path.read_text()


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("name", ["target", "old"])
def test_replaces_what_stood_there(tmp_path, folder, name):
    path = tmp_path / name
    _write(path, "before", folder)
    with replacing(path) as aside:
        _write(aside, "after", folder)
        assert _text(path) == "before"
    assert _text(path) == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_creates_what_is_new(tmp_path, folder):
    path = tmp_path / "a" / "b" / "target"
    with replacing(path) as aside:
        _write(aside, "after", folder)
        assert not path.exists()
    assert _text(path) == "after"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_stood_there(tmp_path, folder, error):
    path = tmp_path / "target"
    _write(path, "before", folder)
    with pytest.raises(error), replacing(path) as aside:
        _write(aside, "half", folder)
        raise error
    assert _text(path) == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_a_block_that_writes_nothing_leaves_what_stood_there(tmp_path, folder):
    path = tmp_path / "target"
    _write(path, "before", folder)
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.exists()
    assert _text(path) == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["rename", "replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_between_the_renames_of_folders(tmp_path, monkeypatch, step, error):
    path, done = tmp_path / "target", getattr(os, step)
    _write(path, "before", True)

    def interrupted(*paths):
        monkeypatch.undo()
        if step == "rename":
            done(*paths)
        raise error

    with pytest.raises(error), replacing(path) as aside:
        _write(aside, "after", True)
        monkeypatch.setattr(os, step, interrupted)
    assert _text(path) == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_nothing_new(tmp_path):
    with pytest.raises(ValueError), replacing(tmp_path / "target") as aside:
        aside.write_text("half")
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_no_folders(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError), replacing(tmp_path / "a" / "b" / "c" / "target"):
        raise ValueError
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]


def test_an_error_leaves_what_others_wrote(tmp_path):
    with pytest.raises(ValueError), replacing(tmp_path / "a" / "b" / "target"):
        (tmp_path / "a" / "theirs").touch()
        raise ValueError
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "theirs"]


def test_check_writable(tmp_path):
    (tmp_path / "file").touch()
    for good in (tmp_path, tmp_path / "new" / "folder"):
        check_writable(good)
    for bad in (tmp_path / "file", tmp_path / "file" / "folder", "/proc/folder"):
        with pytest.raises(UserError, match=f"{bad}: .* cannot be written to"):
            check_writable(bad)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_write_text(tmp_path):
    for text in ("first\n", "second\n"):
        write_text(str(tmp_path / "target"), text)
        assert (tmp_path / "target").read_text() == text
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_for_one_process(tmp_path):
    folder = tmp_path / "runs" / "a"
    script = (
        f"from mosaic.utils.atomic_io import locked\nwith locked({str(folder)!r}):\n    print(1)"
    )
    with locked(folder):
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert "another process trains there" in other.stderr
        assert other.stdout == ""
    assert list(tmp_path.iterdir()) == []
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert other.stdout == "1\n"
    with pytest.raises(ValueError), locked(folder):
        (folder / "result").touch()
        raise ValueError
    assert list(folder.iterdir()) == [folder / "result"]


_KILLED = """
import os, signal, sys
from mosaic.utils import atomic_io
with atomic_io.replacing({path!r}) as aside:
    aside.mkdir()
    (aside / "inner").write_text("half")
    {then}
"""


def _killed(path, then="os.kill(os.getpid(), signal.SIGKILL)"):
    script = _KILLED.format(path=str(path), then=then)
    return subprocess.run([sys.executable, "-c", script], check=False)


def test_what_a_killed_process_left_goes_at_the_next_start(tmp_path):
    for path in (tmp_path / "saved_model", tmp_path / "pictures" / "one.png"):
        _killed(path)
        assert len(list(path.parent.glob(f".{path.name}.*"))) == 1
    check_writable(tmp_path)
    assert list(tmp_path.rglob("*")) == [tmp_path / "pictures"]


def test_a_folder_that_was_put_aside_gets_its_name_back(tmp_path):
    _write(tmp_path / "target", "before", True)
    then = "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    _killed(tmp_path / "target", then)
    assert not (tmp_path / "target").exists()
    remove_leftovers(tmp_path)
    assert _text(tmp_path / "target") == "before"
    assert list(tmp_path.iterdir()) == [tmp_path / "target"]


def test_what_a_running_process_writes_stays(tmp_path):
    with replacing(tmp_path / "target") as aside:
        aside.write_text("after")
        remove_leftovers(tmp_path)
        assert aside.read_text() == "after"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("days, stays", [(0, True), (2, False)])
def test_without_a_mark_only_age_tells(tmp_path, days, stays):
    folder = tmp_path / ".target.abcd_123"
    folder.mkdir()
    (folder / "target").touch()
    os.utime(folder, (time.time() - 86400 * days - 60,) * 2)
    remove_leftovers(tmp_path)
    assert folder.exists() == stays


@pytest.mark.parametrize("name", [".git", ".cache.d", ".x.abcd_1234", ".x.ABCDEFGH", "x.abcd_123"])
def test_hidden_folders_of_others_stay(tmp_path, name):
    (tmp_path / name).mkdir()
    os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    assert (tmp_path / name).exists()


def test_a_folder_of_that_form_with_other_things_stays(tmp_path):
    (tmp_path / ".x.abcd_123").mkdir()
    (tmp_path / ".x.abcd_123" / "theirs").touch()
    os.utime(tmp_path / ".x.abcd_123", (0, 0))
    remove_leftovers(tmp_path)
    assert (tmp_path / ".x.abcd_123" / "theirs").exists()


@pytest.mark.parametrize("write", [locked, replacing])
def test_a_url_is_no_folder_of_this_machine(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    line = r"gs://bucket/run: only the commands' flags"
    with pytest.raises(UserError, match=line), write("gs://bucket/run"):
        pass
    assert not list(tmp_path.iterdir())


_KILLED_SCRATCH = """
import os, signal
from mosaic.utils.atomic_io import scratch
with scratch() as folder:
    open(os.path.join(folder, "a"), "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_temporary_files_of_killed_processes_go_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "mosaic_others").mkdir()
    subprocess.run([sys.executable, "-c", _KILLED_SCRATCH], check=False)
    (left,) = tmp_path.glob("mosaic_*/files/a")
    with scratch() as folder:
        assert os.listdir(folder) == [] and not left.exists()
        with scratch() as other:
            assert os.path.isdir(folder) and other != folder
    assert os.listdir(tmp_path) == ["mosaic_others"]


def test_many_files_are_written_by_one_folder(tmp_path):
    with Replacing(tmp_path) as files:
        for name in ("a", "b", "a"):
            files.write(tmp_path / "in" / name, name.encode() * 3)
        (aside,) = tmp_path.glob(".file.*")
        remove_leftovers(tmp_path)
        assert aside.is_dir()  # of a process that runs
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "in"]
    assert (tmp_path / "in" / "a").read_bytes() == b"aaa"


def test_a_folder_on_another_file_system_takes_files_too(tmp_path, monkeypatch):
    replace = os.replace

    def strict(source, target):
        if os.path.basename(source) == "file":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target)

    monkeypatch.setattr(os, "replace", strict)
    with Replacing(tmp_path) as files:
        files.write(tmp_path / "a", b"content")
    assert (tmp_path / "a").read_bytes() == b"content"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
