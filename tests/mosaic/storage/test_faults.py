"""Storage that is not there, that nobody may use, or that does not answer for a while."""

import json
import os
import pathlib
import shutil
import uuid

import pytest
import tensorflow as tf
from tensorflow.python.lib.io import file_io

from mosaic.checkpoints import run_folder
from mosaic.storage import copies, remote
from mosaic.storage.copies import Copy
from mosaic.utils.errors import UserError

gfile = tf.io.gfile

DENIED = tf.errors.PermissionDeniedError(
    None, None, 'HTTP response code 403 with body \'{"error": {"message": "nobody may write"}}\''
)
GONE = tf.errors.AbortedError(None, None, "All 10 retry attempts failed")
NOT_FOUND = tf.errors.NotFoundError(None, None, "not found")


@pytest.fixture
def url():
    """A place that no other test has, with a run in it."""
    url = f"ram://{uuid.uuid4().hex}/run"
    gfile.makedirs(url)
    with gfile.GFile(f"{url}/config.gin", "w") as file:
        file.write("seed = 0\n")
    return url


@pytest.fixture
def fails(monkeypatch):
    """Lets calls of TensorFlow's file systems fail, of which `tf.io.gfile` is made."""

    def set_up(error, *names):
        def call(*arguments):
            raise error

        for name in names:
            monkeypatch.setattr(file_io._pywrap_file_io, name, call)

    with monkeypatch.context() as monkeypatch:
        yield set_up


@pytest.mark.parametrize("error", [GONE, DENIED])
def test_what_cannot_be_read_is_not_taken_for_a_new_folder(url, fails, error, tmp_path):
    fails(error, "Stat", "FileExists", "IsDirectory")
    with pytest.raises(UserError, match="run: cannot be read or written"):
        Copy(url, str(tmp_path / "run")).fetch()


def test_a_folder_inside_that_cannot_be_read_is_not_left_out(url, fails, tmp_path):
    fails(DENIED, "GetChildren")
    with pytest.raises(UserError, match="cannot be read or written"):
        Copy(url, str(tmp_path / "run")).fetch()


def test_who_may_not_ask_for_a_bucket_finds_what_is_in_it(url, monkeypatch):
    monkeypatch.setattr(remote, "OBJECT_STORES", ("ram://",))
    bucket, is_directory = url.rpartition("/")[0], file_io._pywrap_file_io.IsDirectory

    def refused(path):
        if path == bucket:
            raise DENIED
        return is_directory(path)

    monkeypatch.setattr(file_io._pywrap_file_io, "IsDirectory", refused)
    assert remote.names(url) == ["/config.gin"]


def test_a_bucket_that_is_not_there(fails, tmp_path):
    fails(NOT_FOUND, "Stat", "FileExists", "IsDirectory")
    with pytest.raises(UserError, match="gs://nope/run: there is no bucket gs://nope; make it"):
        Copy("gs://nope/run", str(tmp_path / "run")).fetch()


def test_a_url_of_nothing(tmp_path):
    with pytest.raises(UserError, match="gs://: no bucket or folder is named"):
        Copy("gs://", str(tmp_path / "run")).fetch()


def test_no_folders_are_made_in_buckets(monkeypatch, tmp_path):
    # TensorFlow never ends making one in a bucket that is not there.
    made, written = [], []
    monkeypatch.setattr(gfile, "makedirs", made.append)
    monkeypatch.setattr(gfile, "copy", lambda here, there, overwrite: written.append(there))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "net.tflite").touch()
    Copy("gs://bucket/run", str(tmp_path / "run")).deliver()
    assert (made, written) == ([], ["gs://bucket/run/net.tflite"])


def test_names_that_lead_out_of_the_folder(url, monkeypatch, tmp_path):
    monkeypatch.setattr(remote, "names", lambda *_: ["/../config.gin"])
    monkeypatch.setattr(gfile, "stat", lambda path: type("Stat", (), {"length": 1}))
    with pytest.raises(UserError, match=r"\.\./config.gin: such a name leads out"):
        Copy(url, str(tmp_path / "run")).fetch()


def test_the_storage_tells_in_its_own_words_what_is_not_allowed():
    line = r"x: cannot be read or written \(nobody may write\); give this account the right to"
    with pytest.raises(UserError, match=line), remote.told("x"):
        raise DENIED


def test_whether_it_can_be_written_is_known_before_the_work(url, fails, tmp_path):
    with copies.opened(url) as copy:
        copies.check_writable(os.path.join(copy.local, "eval"))
        assert gfile.listdir(url) == ["config.gin"]
        fails(DENIED, "WritableFile")
        copies.check_writable(str(tmp_path))
        for folder in (copy.local, os.path.join(copy.local, "eval")):
            with pytest.raises(UserError, match="nobody may write"):
                copies.check_writable(folder)


def test_several_workers_may_try_to_write_at_once(url, monkeypatch):
    remove = gfile.remove
    with copies.opened(url) as first, copies.opened(url) as second:
        monkeypatch.setattr(gfile, "remove", lambda path: (again.pop()(), remove(path)))
        again = [lambda: None, lambda: copies.check_writable(second.local)]
        copies.check_writable(first.local)
    monkeypatch.undo()
    assert again == [] and gfile.listdir(url) == ["config.gin"]


def test_a_storage_that_does_not_answer_for_a_while_ends_no_run(url, fails, monkeypatch, capsys):
    with copies.opened(url) as copy:
        pathlib.Path(copy.local, "history.jsonl").write_text("1\n")
        with monkeypatch.context() as context:
            context.setattr(file_io._pywrap_file_io, "WritableFile", _gone)
            copies.deliver(copy.local)
        assert "warning: " in capsys.readouterr().err and not gfile.exists(f"{url}/history.jsonl")
        copies.deliver(copy.local)
        assert gfile.exists(f"{url}/history.jsonl")


def _gone(*arguments):
    raise GONE


def test_what_was_taken_before_it_failed_is_not_taken_again(url, monkeypatch):
    put, taken = Copy._put, []

    def fail_once(self, name):
        taken.append(name)
        if name == "/b" and taken.count(name) == 1:
            raise GONE
        put(self, name)

    monkeypatch.setattr(Copy, "_put", fail_once)
    with copies.opened(url) as copy:
        for name in "abc":
            pathlib.Path(copy.local, name).touch()
        copies.deliver(copy.local)
    assert taken == ["/a", "/b", "/b", "/c"]


@pytest.fixture
def lost(url, monkeypatch, tmp_path):
    """A function that works in a copy whose storage is gone at the end."""
    monkeypatch.setattr(copies.tempfile, "tempdir", str(tmp_path))

    def work(error=None):
        with copies.opened(url) as copy:
            report = {"checkpoint": f"{copy.local}/best_ckpt"}
            pathlib.Path(copy.local, "report.json").write_text(json.dumps(report))
            monkeypatch.setattr(file_io._pywrap_file_io, "WritableFile", _gone)
            if error:
                raise error

    return work


def test_what_cannot_be_taken_there_at_the_end_is_kept_here(lost, url, tmp_path):
    with pytest.raises(
        UserError, match=r"All 10 retry attempts failed.* nothing is lost: "
    ) as told:
        lost()
    (kept,) = tmp_path.iterdir()
    assert str(kept) in str(told.value)
    assert json.loads((kept / "report.json").read_text()) == {"checkpoint": f"{url}/best_ckpt"}
    assert (kept / "config.gin").exists()


def test_a_command_s_own_error_is_its_last_line(lost, tmp_path, capsys):
    with pytest.raises(UserError, match="not a number"):
        lost(UserError("not a number"))
    assert f"nothing is lost: {next(tmp_path.iterdir())}" in capsys.readouterr().err


def test_a_copy_that_something_else_has_removed_removes_nothing(url, capsys):
    with (
        pytest.raises(UserError, match=r"its copy, .*, was removed by something else"),
        copies.opened(url) as copy,
    ):
        shutil.rmtree(copy.local)
    assert gfile.exists(f"{url}/config.gin")


def test_a_run_killed_while_its_first_checkpoint_is_taken_there_starts_again(
    url, monkeypatch, tmp_path
):
    put = Copy._put

    def killed(self, name):
        put(self, name)
        if name.endswith(".index"):
            raise KeyboardInterrupt

    copy = Copy(url, str(tmp_path / "run"))
    copy.fetch()
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(), copy.local, 1)
    manager.save(checkpoint_number=0)
    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(Copy, "_put", killed)
        copy.deliver()
    with copies.opened(url) as copy:
        assert os.path.exists(os.path.join(copy.local, "ckpt-0.index"))
        run_folder.tidy(copy.local)
