"""Runs that end before their last step: by patience, by time."""

import pytest
from tiny_training import tiny

from mosaic.checkpoints import run_record
from mosaic.training import train_loop
from mosaic.training.ending import Ending
from mosaic.training.history import History


def evaluations(*scores):
    return [{"step": step, "mean_iou": score} for step, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "ends"),
    [
        ((), False),
        ((0.3, 0.2), False),
        ((0.3, 0.2, 0.1), True),
        ((0.3, 0.2, 0.4), False),
        ((0.3, 0.3, 0.3), True),  # as good is not better
    ],
)
def test_patience_counts_evaluations_without_a_better_one(scores, ends):
    reason = Ending(patience=2).reason(evaluations(*scores), [])
    assert (reason == "train.patience = 2: evaluations without a better mIoU: 2") == ends
    assert bool(reason) == ends


def test_time_is_that_of_all_starts():
    times = [{"step": 1, "seconds": 3599.0}]
    assert Ending(hours=1.0).reason([], times) is None
    times.append({"step": 2, "seconds": 3600.0})
    assert Ending(hours=1.0).reason([], times) == "train.hours = 1: this time is over"
    assert Ending().reason(evaluations(0.1), times) is None


@pytest.mark.parametrize(("setting", "last"), [({"patience": 1}, 3), ({"hours": 1e-9}, 1)])
def test_a_run_ends_with_all_that_it_should_leave(drawn, tmp_path, capsys, setting, last):
    """Its learning rate is so small that no evaluation is better than the first."""
    arguments = tiny(drawn, steps=9, eval_interval=1, steps_per_log=1, **setting)
    arguments["optimizer"].learning_rate = 1e-12
    for _ in range(2):  # started again, it stays as it is
        train_loop.train(str(tmp_path), **arguments)
        history = History(tmp_path / "history.jsonl", 9).entries
        assert history[-1]["step"] == last - 1 or history[-1]["step"] == last
        assert (tmp_path / "training.json").is_file()
    assert run_record.entries_in(tmp_path)[-1].ended == history[-1]["step"] < 9
    assert f"of 9; train.{next(iter(setting))}" in capsys.readouterr().err
