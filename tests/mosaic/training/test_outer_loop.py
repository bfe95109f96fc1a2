"""The outer loop: when it evaluates, what it records, and where it stops."""

import types

import pytest
import tensorflow as tf

from mosaic.evaluation.protocols import Evaluation
from mosaic.training.history import History, Times
from mosaic.training.outer_loop import OuterLoop
from mosaic.utils.progress import Progress


class Controller:
    """Counts steps in blocks of two, as orbit's controller would run them."""

    def __init__(self, trainer, saved=""):
        self.calls = []
        self.train_actions = ()
        self.step_timer = types.SimpleNamespace(steps_per_second=lambda restart: 3.0)
        self.checkpoint_manager = types.SimpleNamespace(latest_checkpoint=saved)
        self._step = trainer.global_step

    def train(self, target, checkpoint_at_completion):
        self.calls.append(("train", target))
        while self._step < target:
            self._step.assign(min(target, int(self._step) + 2))
            for action in self.train_actions:
                action({"training_loss": tf.constant(0.5), "learning_rate": tf.constant(0.1)})

    def evaluate(self):
        self.calls.append(("evaluate", int(self._step)))
        return {"mean_iou": 0.25, "best_mean_iou": 0.5, "iou/a": 0.25, "iou/b": float("nan")}

    def save_checkpoint(self):
        self.calls.append(("save", int(self._step)))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the loop to a step; returns the controller's calls and the history."""
    monkeypatch.setattr(OuterLoop, "_show", lambda self: None)

    def start(steps, interval, first=0, saved="", stop=lambda: None, is_best_there=True, only=None):
        task = types.SimpleNamespace(
            batch_size=4, evaluation=Evaluation(), only_answer=lambda: only
        )
        step = tf.Variable(first, dtype=tf.int64)
        stopping = types.SimpleNamespace(check=stop)
        best = types.SimpleNamespace(is_missing=not is_best_there)
        trainer = types.SimpleNamespace(global_step=step, task=task, stop=stopping, best=best)
        controller = Controller(trainer, saved)
        history = History(tmp_path / "history.jsonl", first)
        times = Times(tmp_path / "times.jsonl", first)
        with Progress(steps, "train", "step", done=first) as bar:
            OuterLoop(controller, trainer, history, times, bar).until(steps, interval)
        return controller.calls, history, times

    return start


def test_it_evaluates_at_multiples_of_the_interval_and_at_the_end(run):
    calls, _, _ = run(10, 4)
    assert [step for name, step in calls if name == "evaluate"] == [4, 8, 10]


def test_a_resumed_run_goes_on_to_the_next_multiple(run):
    calls, _, _ = run(8, 4, first=2)
    assert [call for call in calls if call[0] == "train"] == [("train", 4), ("train", 8)]


def test_an_evaluation_that_was_missed_is_made_up_for(run):
    calls, _, _ = run(8, 4, first=4)
    assert calls[0] == ("evaluate", 4)


def test_without_a_best_checkpoint_an_evaluation_is_done_again(run):
    run(4, 4)
    assert run(8, 4, first=4)[0][0] == ("train", 8)
    assert run(8, 4, first=4, is_best_there=False)[0][0] == ("evaluate", 4)


def test_the_last_step_is_saved_once(run):
    assert run(4, 4)[0][-1] == ("save", 4)
    assert ("save", 4) not in run(4, 4, saved="run/ckpt-4")[0]


def test_every_block_and_evaluation_is_recorded(run):
    _, history, _ = run(4, 4)
    assert [entry["step"] for entry in history.entries if "loss" in entry] == [2, 4]
    assert history.entries[-1] == {"step": 4, "mean_iou": 0.25, "iou": {"a": 0.25, "b": None}}


def test_the_rate_counts_images_of_blocks_after_the_first(run):
    _, _, times = run(6, 6)
    rates = [entry.get("images_per_second") for entry in times.entries]
    assert rates == [None, 12.0, 12.0, None]


def test_a_signal_stops_it_after_a_block(run):
    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(4, 4, stop=stop)


@pytest.mark.parametrize("only", [None, "'sky' is predicted everywhere"])
def test_one_class_everywhere_is_told(run, capsys, only):
    run(4, 4, only=only)
    told = "warning: 'sky' is predicted everywhere" in capsys.readouterr().err
    assert told == bool(only)
