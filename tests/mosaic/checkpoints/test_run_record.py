"""The record of a run: what is written when, and what it says of the run's steps."""

import json

import pytest

from mosaic import config
from mosaic.checkpoints import run_record
from mosaic.checkpoints.run_record import Entry, Record
from mosaic.utils.errors import UserError
from mosaic.utils.run_layout import RECORD


def lines(folder):
    return (folder / RECORD).read_text().splitlines()


def test_it_is_only_ever_added_to(tmp_path):
    run_record.append(str(tmp_path), Entry({"a.b": 1, "a.c": 2, "a.d": 3}, 0))
    before = (tmp_path / RECORD).read_bytes()
    run_record.end(str(tmp_path), 50)
    run_record.append(str(tmp_path), Entry({"a.b": 1, "a.c": 5, "a.e": 6}, 50))
    after = (tmp_path / RECORD).read_bytes()
    assert after.startswith(before)
    first, ended, second = map(json.loads, lines(tmp_path))
    assert first["configuration"] == {"a.b": 1, "a.c": 2, "a.d": 3}
    assert first["versions"]["tensorflow"] and first["time"].endswith("+00:00")
    assert ended["ended"] == 50
    assert (second["changed"], second["dropped"]) == ({"a.c": 5, "a.e": 6}, ["a.d"])


def test_entries_are_whole_again_when_read(tmp_path):
    data = {"dataset": "x", "splits": {"train": {"images": 3, "fingerprint": "f"}}}
    for step, value in ((0, [1, 2]), (50, None)):
        run_record.append(str(tmp_path), Entry({"a.b": value}, step, data, None, {"replicas": 2}))
    run_record.end(str(tmp_path), 70)
    first, second = run_record.entries_in(tmp_path)
    assert (first.configuration, second.configuration) == ({"a.b": [1, 2]}, {"a.b": None})
    assert (first.step, first.ended, second.step, second.ended) == (0, None, 50, 70)
    assert second.data == data
    assert second.devices == {"replicas": 2}


def test_a_run_without_a_record_has_no_entries(tmp_path):
    assert run_record.entries_in(tmp_path) == []


def test_paths_are_left_out():
    config.parse(
        [config.find("mosaic_cityscapes")], ["DATA_DIR = '/a'", "INIT_CHECKPOINT = '/b/c'"]
    )
    found = run_record.portable(config.current_parameters())
    assert "/" not in json.dumps(found)
    assert found["train.init_checkpoint"] == "given"
    assert found["sgd.momentum"] == 0.9


STEPS = [(0, "a"), (30, "b"), (60, "c"), (40, "d")]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (100, [(0, 30, "a"), (30, 40, "b"), (40, 100, "d")]),
        (40, [(0, 30, "a"), (30, 40, "b")]),
        (None, [(0, 30, "a"), (30, 40, "b"), (40, float("inf"), "d")]),
        (0, []),
    ],
)
def test_steps_that_were_done_again_count_once(steps, expected):
    """The run went back from step 60 to 40."""
    entries = [Entry({"name": name}, step) for step, name in STEPS]
    found = run_record.stretches(entries, steps)
    assert [(s.first, s.end, s.entry.configuration["name"]) for s in found] == expected


def test_the_steps_of_a_run_are_those_at_its_end():
    entries = [Entry({}, 0, ended=50)]
    assert Record(entries, is_best=True, step=40).steps == 50
    assert Record(entries, is_best=False, step=40).steps == 40
    assert Record([*entries, Entry({}, 50)], is_best=True, step=60).steps == 60  # killed later


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[1]", "1", "[" * 9999, "null", "", '{"ended": 5}', '{"step": -1}', '{"x": 1}'),
        *('{"configuration": 3}', '{"configuration": {}, "data": {"splits": {"train": 3}}}'),
        *('{"configuration": {}, "start": {"holds": 1}}', '{"network": {"step": "5"}}'),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / RECORD).write_text(line + "\n")
    with pytest.raises(UserError, match=rf"{RECORD} is damaged in line 1; put an intact copy back"):
        run_record.entries_in(tmp_path)
