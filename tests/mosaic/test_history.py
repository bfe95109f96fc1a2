import json
import struct

import pytest

from mosaic.history import History


@pytest.fixture
def path(tmp_path):
    """The record of a run that was stopped after step 30."""
    path = tmp_path / "history.jsonl"
    history = History(path, 0)
    for step in (10, 20, 30):
        history.add(step=step, loss=1 / step, learning_rate=0.1)
        if step != 30:
            history.add(step=step, mean_iou=step / 100, iou={"road": 0.5, "sky": None})
    return path


def _read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_entries_come_back(path):
    entries = _read(path)
    assert [entry["step"] for entry in entries] == [10, 10, 20, 20, 30]
    assert entries[0] == {"step": 10, "loss": 0.1, "learning_rate": 0.1}
    assert entries[4]["loss"] == 1 / 30
    assert History(path, 30).entries == entries


def test_resuming_drops_what_is_done_again(path):
    history = History(path, 20)
    assert [entry["step"] for entry in history.entries] == [10, 10, 20, 20]
    assert _read(path) == history.entries


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_line_that_was_cut_off(path, cut):
    path.write_text(path.read_text()[: -1 - cut])
    history = History(path, 30)
    assert [entry["step"] for entry in history.entries] == [10, 10, 20, 20]
    history.add(step=30, loss=0.5, learning_rate=0.1)
    assert _read(path)[-1] == {"step": 30, "loss": 0.5, "learning_rate": 0.1}
    assert len(_read(path)) == 5


def test_new_run_starts_an_empty_file(tmp_path):
    history = History(tmp_path / "run" / "history.jsonl", 0)
    assert history.entries == []
    assert history.path.read_text() == ""


def test_evaluated(path):
    history = History(path, 30)
    assert history.evaluated(20)
    assert not history.evaluated(30)
    assert not history.evaluated(15)


@pytest.mark.parametrize("step", [0, 10, 30], ids=["empty", "one point", "curve"])
def test_draw(path, tmp_path, step):
    picture = tmp_path / "curves.png"
    History(path, step).draw(picture)
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (960, 480)
    assert not list(tmp_path.glob(".*"))
