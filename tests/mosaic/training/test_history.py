"""The records of a run: figures, times and curves."""

import json
import time

import pytest

from mosaic.training.history import History, Times, summary
from mosaic.utils.errors import UserError


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


@pytest.fixture
def clock(monkeypatch):
    """A clock to set."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def _timed(path, clock):
    """Three blocks of 10 steps: 5 s each, 1 s for the evaluation after the second."""
    times = Times(path, 0)
    for step in (10, 20, 30):
        clock[0] += 5
        times.note(step, images_per_second=float(step))
        if step == 20:
            clock[0] += 1
            times.note(step)
    return times


def test_time_goes_on_where_a_run_was_resumed(tmp_path, clock):
    path = tmp_path / "times.jsonl"
    _timed(path, clock)
    assert [entry["seconds"] for entry in _read(path)] == [5, 10, 11, 16]
    clock[0] += 3600
    times = Times(path, 20)
    clock[0] += 4
    times.note(30, images_per_second=1.0)
    assert [entry["seconds"] for entry in _read(path)] == [5, 10, 11, 15]


def test_summary(path, tmp_path, clock):
    history = History(path, 30)
    found = summary(history, _timed(tmp_path / "times.jsonl", clock))
    assert found["best"] == found["final"] == history.entries[3]
    assert found["seconds"] == 16
    assert found["images_per_second"] == {"median": 20, "lower": 15, "upper": 25}


def test_summary_of_a_run_whose_first_times_are_not_known(path, tmp_path, clock):
    times = _timed(tmp_path / "times.jsonl", clock)
    del times.entries[0]
    assert summary(History(path, 30), times).keys() == {"best", "final"}


@pytest.mark.parametrize(
    "line",
    [
        *(b"[1, 2]", b"7", b"null", b'"text"', b"{}", b"garbage", b"\x00\xff\xfe", b"[" * 100_000),
        *(b'{"step": "3"}', b'{"step": 1.5}', b'{"step": true}', b'{"step": -1}'),
        *(b'{"step": 3, "loss": "x"}', b'{"step": 3, "mean_iou": [1]}', b'{"step": 3, "iou": 5}'),
    ],
)
def test_a_line_that_is_no_record_is_named(path, line):
    before = line + b"\n" + path.read_bytes()
    path.write_bytes(before)
    with pytest.raises(UserError, match=r"history\.jsonl: line 1 is not a record") as raised:
        History(path, 30)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


def test_garbage_in_the_middle_drops_nothing_after_it(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b'{"step": 2\n', *lines[2:]]))
    with pytest.raises(UserError, match="line 3 is not a record"):
        History(path, 30)


def test_times_without_seconds_are_named(tmp_path):
    (tmp_path / "times.jsonl").write_text('{"step": 3}\n')
    with pytest.raises(UserError, match=r"times\.jsonl: line 1 is not a record .*'seconds'"):
        Times(tmp_path / "times.jsonl", 5)
