"""Copies of what lies on TensorFlow's file system in memory, which is no folder of this machine."""

import os
import pathlib
import uuid

import pytest
import tensorflow as tf

from mosaic.checkpoints import loading
from mosaic.storage import copies
from mosaic.storage.copies import Copy
from mosaic.utils.errors import UserError

gfile = tf.io.gfile


@pytest.fixture
def url():
    """A place that no other test has."""
    return f"ram://{uuid.uuid4().hex}/run"


def put(path, text):
    gfile.makedirs(os.path.dirname(path))
    with gfile.GFile(path, "w") as file:
        file.write(text)


def text(path):
    with gfile.GFile(path) as file:
        return file.read()


def test_what_is_there_is_copied_and_what_is_new_is_taken_back(url):
    put(f"{url}/config.gin", "seed = 0\n")
    put(f"{url}/best_ckpt/classes.json", "{}")
    with copies.opened(url) as copy:
        here = pathlib.Path(copy.local)
        assert (here / "best_ckpt" / "classes.json").read_text() == "{}"
        (here / "eval").mkdir()
        (here / "eval" / "report.json").write_text(f'{{"checkpoint": "{here}/best_ckpt"}}')
        (here / "config.gin").write_text("seed = 1\n")
        (here / ".lock").touch()
        assert text(f"{url}/config.gin") == "seed = 0\n"
    assert text(f"{url}/config.gin") == "seed = 1\n"
    # Nobody can use the path of the copy later.
    assert text(f"{url}/eval/report.json") == f'{{"checkpoint": "{url}/best_ckpt"}}'
    assert sorted(gfile.listdir(url)) == ["best_ckpt", "config.gin", "eval"]
    assert not here.exists()


def test_texts_name_what_other_copies_are_of(url):
    put(f"{url}/images/a.png", "")
    with copies.opened(f"{url}/out") as out:
        with copies.opened(f"{url}/images") as images:
            path = os.path.join(images.local, "a.png")
        os.makedirs(out.local)
        pathlib.Path(out.local, "class_fractions.csv").write_text(path)
    assert text(f"{url}/out/class_fractions.csv") == f"{url}/images/a.png"


def test_of_a_run_old_exports_and_boards_stay_where_they_are(url):
    put(f"{url}/config.gin", "")
    put(f"{url}/train/events.out.tfevents.1", "old")
    put(f"{url}/saved_model/variables/variables.index", "old")
    with copies.opened(url, is_run=True) as copy:
        assert os.listdir(copy.local) == ["config.gin"]
        os.makedirs(f"{copy.local}/train")
        pathlib.Path(copy.local, "train", "events.out.tfevents.2").write_text("new")
    assert len(gfile.listdir(f"{url}/train")) == 2
    assert gfile.exists(f"{url}/saved_model/variables/variables.index")


def test_checkpoints_are_taken_before_the_list_that_names_them(url, monkeypatch):
    manager = None
    with copies.opened(url) as copy:
        checkpoint = tf.train.Checkpoint(value=tf.Variable(1.0))
        manager = tf.train.CheckpointManager(checkpoint, copy.local, 1, checkpoint_name="ckpt")
        manager.save(checkpoint_number=1)
        tf.compat.v1.train.update_checkpoint_state(copy.local, f"{copy.local}/ckpt-1")
        copies.deliver(copy.local)
        taken = []
        kept = Copy._put
        monkeypatch.setattr(Copy, "_put", lambda self, name: (taken.append(name), kept(self, name)))
        manager.save(checkpoint_number=2)
    assert [os.path.basename(name).partition(".")[2] for name in taken] == [
        "data-00000-of-00001",
        "index",
        "",
    ]
    # The list names no path of this machine, and the older checkpoint is gone as it is here.
    assert tf.train.latest_checkpoint(url) == f"{url}/ckpt-2"
    assert not [name for name in gfile.listdir(url) if name.startswith("ckpt-1")]


def test_a_single_file_and_the_files_of_a_prefix(url):
    put(f"{url}/net.tflite", "net")
    for suffix in ("index", "data-00000-of-00001"):
        put(f"{url}/ckpt-7.{suffix}", suffix)
    with copies.at_hand(f"{url}/net.tflite") as path:
        assert pathlib.Path(path).read_text() == "net"
    with copies.at_hand(f"{url}/ckpt-7") as path:
        assert pathlib.Path(f"{path}.index").read_text() == "index"
    with copies.at_hand("/a/path/here") as path:
        assert path == "/a/path/here"


def test_a_checkpoint_elsewhere_is_read(url):
    tf.train.Checkpoint(value=tf.Variable(3.0)).write(f"{url}/ckpt-1")
    with loading.located(f"{url}/ckpt-1") as prefix:
        assert tf.train.load_variable(prefix, "value/.ATTRIBUTES/VARIABLE_VALUE") == 3.0
    with pytest.raises(UserError, match="no checkpoint here"), loading.located(f"{url}/ckpt-2"):
        pass


def test_a_storage_that_tensorflow_does_not_know():
    with pytest.raises(UserError, match=r"nowhere://x: cannot be read or written \(.*nowhere"):
        Copy("nowhere://x", "/tmp/x").fetch()


def test_no_room_for_a_copy(url, monkeypatch):
    put(f"{url}/large", "12345678")
    usage = type("Usage", (), {"free": 7})
    monkeypatch.setattr(copies.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"has room for 0\.0; set TMPDIR"), copies.at_hand(url):
        pass
