"""The trainer's parts: signals that stop a run, weights that are not finite, the best score."""

import json
import os
import signal
import types

import pytest
import tensorflow as tf

from mosaic.training.trainer import BestCheckpoint, NanGuard, StopOnSignal, Stopped
from mosaic.utils.errors import RunError, UserError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_where_it_is_safe(number):
    before = signal.getsignal(number)
    with StopOnSignal() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped, match=number.name):
            stop.check()
        assert signal.getsignal(number) == before, "a second signal ends the process"
    assert signal.getsignal(number) == before


def _guard(weight, folder):
    weights = [tf.Variable(weight), tf.Variable(7, dtype=tf.int64)]
    model = types.SimpleNamespace(variables=weights)
    return NanGuard(types.SimpleNamespace(model=model, global_step=tf.constant(30)), str(folder))


def test_a_run_goes_on_while_all_is_finite(tmp_path):
    _guard(1.0, tmp_path)({"training_loss": tf.constant(0.5)})


@pytest.mark.parametrize(
    ("loss", "weight", "message"),
    [
        (float("nan"), 1.0, "step 30: the loss is nan"),
        (float("inf"), 1.0, "step 30: the loss is inf"),
        (0.5, float("nan"), "step 30: a weight is not finite"),
    ],
)
def test_a_run_ends_where_something_is_not_finite(tmp_path, loss, weight, message):
    with pytest.raises(RunError, match=f"{message}; lower the learning rate") as caught:
        _guard(weight, tmp_path)({"training_loss": tf.constant(loss)})
    assert "last good checkpoint" not in str(caught.value)


def test_the_last_good_checkpoint_is_told(tmp_path):
    path = tf.train.CheckpointManager(tf.train.Checkpoint(), str(tmp_path), 1).save(20)
    with pytest.raises(RunError, match=f"the last good checkpoint is {path}$"):
        _guard(1.0, tmp_path)({"training_loss": tf.constant(float("nan"))})


def _export(best, step, score):
    network = tf.train.Checkpoint(weight=tf.Variable(1.0))
    step_variable = tf.Variable(step, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=network, global_step=step_variable)
    return best.maybe_export_checkpoint(checkpoint, {"mean_iou": score}, step)


def test_only_a_better_score_takes_the_place_of_the_best(tmp_path):
    best = BestCheckpoint(str(tmp_path))
    assert [_export(best, 10 * (i + 1), score) for i, score in enumerate((0.4, 0.3, 0.5))] == [
        *(True, False, True)
    ]
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("ckpt-30")
    assert json.loads((tmp_path / "mean_iou-30.json").read_text())["mean_iou"] == 0.5


def test_the_best_score_is_known_when_a_run_goes_on(tmp_path):
    assert _export(BestCheckpoint(str(tmp_path)), 10, 0.4)
    again = BestCheckpoint(str(tmp_path))
    assert not _export(again, 20, 0.3)
    assert _export(again, 30, 0.5)


def test_the_best_checkpoint_keeps_the_runs_configuration(tmp_path):
    """Copied or packed away, the folder still tells how its network was trained."""
    (tmp_path / "config.gin").write_text("train.seed = 3\n")
    (tmp_path / "classes.json").write_text("{}")
    _export(BestCheckpoint(str(tmp_path / "best_ckpt")), 10, 0.4)
    assert (tmp_path / "best_ckpt" / "config.gin").read_text() == "train.seed = 3\n"
    assert (tmp_path / "best_ckpt" / "classes.json").read_text() == "{}"


def test_where_the_last_network_counts_no_best_one_is_kept(tmp_path):
    best = BestCheckpoint(str(tmp_path), is_kept=False)
    assert not _export(best, 10, 0.4) and not _export(best, 20, 0.3)
    assert not list(tmp_path.iterdir())
    assert best.best_ckpt_logs["mean_iou"] == 0.4  # for the progress line
    assert not best.is_missing


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[0.4]", b"garbage", b"\x00\xff", b"[" * 100_000, b"{}", b"7"),
        *(b'{"mean_iou": "x"}', b'{"mean_iou": 7}', b'{"mean_iou": true}', b'{"mean_iou": null}'),
    ],
)
def test_a_damaged_score_is_told_and_the_checkpoint_stays(tmp_path, content):
    assert _export(BestCheckpoint(str(tmp_path)), 10, 0.4)
    (tmp_path / "mean_iou-10.json").write_bytes(content)
    with pytest.raises(UserError, match=r"mean_iou-10\.json: not the score of a") as raised:
        BestCheckpoint(str(tmp_path))
    assert "\n" not in str(raised.value)
    (tmp_path / "mean_iou-10.json").write_text('{"mean_iou": 0.4}')  # the mend
    assert not _export(BestCheckpoint(str(tmp_path)), 20, 0.3)
