"""Additions to the Model Garden's trainer: guards, signals, and a best checkpoint kept safely."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
from collections.abc import Iterator

import numpy as np
import orbit
import tensorflow as tf
from official.core import base_trainer, train_utils
from official.core import config_definitions as cfg

from mosaic.checkpoints import run_record
from mosaic.checkpoints.run_folder import restoring, tidy
from mosaic.distribution import workers
from mosaic.storage import copies
from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import RunError, UserError
from mosaic.utils.progress import Progress
from mosaic.utils.run_layout import METRIC


class Stopped(Exception):
    """A signal asked the run to stop."""


class StopOnSignal:
    """In its block, SIGINT and SIGTERM stop the run at the next step where this is safe.

    A signal to one worker stops all of them. A second signal ends the process at once.
    """

    def __init__(self):
        self.name: str | None = None
        self._before = {}

    def __enter__(self) -> StopOnSignal:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, frame) -> None:
        del frame
        self.name = signal.Signals(number).name
        os.write(2, f"\n{self.name}: stopping after this block; once more to stop now\n".encode())
        signal.signal(number, self._before[number])

    def check(self) -> None:
        """Raises `Stopped` if a signal came, to whichever worker; all must call it."""
        if workers.any_of_them(bool(self.name)):
            raise Stopped(self.name or "a signal to another worker")


class BestCheckpoint(train_utils.BestCheckpointExporter):
    """Keeps the checkpoint with the highest mean IoU, and its score.

    The Garden's exporter writes the score over the old one before it saves the checkpoint; a
    process killed in between leaves a score without a checkpoint, which no later one may reach.
    Here each checkpoint has a score file of its own, written first, and becomes the best when
    TensorFlow renames the folder's state file, in one step.

    Args:
      folder: folder for the checkpoint and its score.
      is_kept: whether there is to be one; if not, scores are compared and nothing is saved.
    """

    def __init__(self, folder: str, is_kept: bool = True):
        super().__init__(folder, METRIC, "higher")
        self.is_kept = is_kept

    def _score_path(self, step: int) -> str:
        return os.path.join(self._export_dir, f"{METRIC}-{step}.json")

    def _maybe_load_best_eval_metric(self):
        latest = tf.train.latest_checkpoint(self._export_dir)
        if latest is None:
            return None
        step = latest.rpartition("-")[2]
        path = self._score_path(int(step)) if step.isdecimal() else ""
        return _score(path) if os.path.exists(path) else None

    @property
    def is_there(self) -> bool:
        """Whether there is a best checkpoint."""
        return tf.train.latest_checkpoint(self._export_dir) is not None

    @property
    def is_missing(self) -> bool:
        """Whether there is none, and should be after an evaluation."""
        return self.is_kept and not self.is_there

    def maybe_export_checkpoint(self, checkpoint, eval_logs, global_step, write_logs=True) -> bool:
        """Saves the network if `eval_logs` are better than the best so far."""
        old = self._best_ckpt_logs
        if old is not None and not self._new_metric_is_better(old, eval_logs):
            return False
        # A class that does not occur has NaN as IoU, which JSON does not have.
        logs = {k: None if np.isnan(v) else float(v) for k, v in eval_logs.items()}
        if not self.is_kept:
            self._best_ckpt_logs = logs
            return False
        step = int(global_step)
        write_text(self._score_path(step), json.dumps({**logs, "step": step}, indent=2) + "\n")
        network = tf.train.Checkpoint(model=checkpoint.model, global_step=checkpoint.global_step)
        manager = tf.train.CheckpointManager(network, self._export_dir, 1, checkpoint_name="ckpt")
        manager.save(checkpoint_number=step)
        self._best_ckpt_logs = logs
        tidy(self._export_dir)
        self.keep_record()
        return True

    def keep_record(self) -> None:
        """Copies the run's configuration, record and class names: a copied folder tells them."""
        run_record.copy(pathlib.Path(self._export_dir).parent, self._export_dir)


def _score(path: str) -> dict:
    """Reads the score of a best checkpoint.

    Raises:
      UserError: the file is damaged.
    """
    try:
        logs = json.loads(pathlib.Path(path).read_bytes())
        value = logs[METRIC]
        if isinstance(value, bool) or not 0 <= value <= 1:
            raise ValueError(f"{METRIC} is {value!r}")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(
            f"{path}: not the score of a checkpoint ({reason}); put an intact copy back, or write "
            f'{{"{METRIC}": VALUE}} into it, with the value of that step in history.jsonl'
        ) from None
    return logs


class Trainer(base_trainer.Trainer):
    """The Garden's trainer with progress of evaluation, and a stop between its batches.

    Args:
      task: `SegmentationTask` to train.
      optimizer: optimizer of `tf_keras`.
      best: keeper of the best checkpoint.
      stop: signals that ask the run to stop.
    """

    def __init__(self, task, optimizer, best: BestCheckpoint, stop: StopOnSignal):
        config = cfg.ExperimentConfig(
            trainer=cfg.TrainerConfig(best_checkpoint_eval_metric=METRIC),
            runtime=cfg.RuntimeConfig(),
        )
        self.best = best
        self.stop = stop
        self._bar: Progress | None = None
        placeholder = tf.data.Dataset.range(0)
        super().__init__(
            config,
            task,
            task.model,
            optimizer,
            train_dataset=placeholder,
            validation_dataset=_distribute(task, {}),
            checkpoint_exporter=best,
        )

    def start_at(self, step: int) -> None:
        """Sets the training data to begin with the batch of `step`."""
        self.train_dataset = _distribute(self.task, {"start_step": step})

    def eval_begin(self) -> None:
        super().eval_begin()
        self.task.confusion.reset_state()
        images = self.task.dataset.num_images(self.task.evaluation.split)
        # Images of several sizes are in batches of one.
        together = self.task.evaluation.batch_size if self.task.dataset.image_size else 1
        self._bar = Progress(-(-images // together), "evaluate", "batch")

    def eval_reduce(self, state=None, step_outputs=None):
        self._bar.update()
        self.stop.check()
        return super().eval_reduce(state, step_outputs)

    def eval_end(self, aggregated_logs=None):
        self._bar.__exit__()
        return super().eval_end(aggregated_logs)


def _distribute(task, params: dict):
    """The task's batches for `params`, divided among the replicas."""
    strategy = tf.distribute.get_strategy()
    return orbit.utils.make_distributed_dataset(strategy, task.build_inputs, params)


class NanGuard:
    """Train action that ends a run whose loss or weights are no longer finite.

    It runs before the checkpoint of its steps is saved, so that the last one on disk is good.
    """

    def __init__(self, trainer: Trainer, folder: str):
        self._trainer = trainer
        self._folder = folder

    def __call__(self, output) -> None:
        loss = float(output["training_loss"])
        weights = [w for w in self._trainer.model.variables if w.dtype.is_floating]
        if np.isfinite(loss) and all(bool(tf.reduce_all(tf.math.is_finite(w))) for w in weights):
            return
        step = int(self._trainer.global_step.numpy())
        latest = tf.train.latest_checkpoint(self._folder)
        kept = f"; the last good checkpoint is {latest}" if latest else ""
        what = f"the loss is {loss}" if not np.isfinite(loss) else "a weight is not finite"
        raise RunError(f"step {step}: {what}; lower the learning rate or clip gradients{kept}")


@dataclasses.dataclass(frozen=True)
class Saving:
    """Settings for saving checkpoints.

    Attributes:
      interval: number of steps between two checkpoints.
      max_to_keep: number of checkpoints that are kept besides the best.
    """

    interval: int
    max_to_keep: int


class QuietController(orbit.Controller):
    """Orbit's controller without its prints: the progress line shows the same."""

    def train(self, *args, **kwargs):
        with _silence():
            return super().train(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        with _silence():
            return super().evaluate(*args, **kwargs)

    def _maybe_save_checkpoint(self, check_interval: bool = True) -> bool:
        is_saved = super()._maybe_save_checkpoint(check_interval)
        if is_saved:
            copies.deliver(self.checkpoint_manager.directory)
        return is_saved

    def save_checkpoint(self) -> None:
        with _silence():
            super().save_checkpoint()

    def restore_checkpoint(self, checkpoint_path: str | None = None):
        with _silence():
            return super().restore_checkpoint(checkpoint_path)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def quiet_controller(
    trainer: Trainer, model_dir: str, steps_per_log: int, saving: Saving
) -> QuietController:
    """Returns the controller of a trainer's steps; restores the latest checkpoint, if there is one.

    Args:
      trainer: trainer to control.
      model_dir: folder of the run.
      steps_per_log: number of steps in a block, between two records of the loss.
      saving: settings for saving checkpoints.

    Raises:
      UserError: the latest checkpoint cannot be restored.
    """
    manager = tf.train.CheckpointManager(
        trainer.checkpoint,
        model_dir,
        saving.max_to_keep,
        step_counter=trainer.global_step,
        checkpoint_interval=saving.interval,
        init_fn=trainer.initialize,
    )
    with restoring(model_dir), _silence():
        return QuietController(
            global_step=trainer.global_step,
            trainer=trainer,
            evaluator=trainer,
            # Blocks of steps end at multiples of `steps_per_log`, wherever a run was resumed.
            steps_per_loop=lambda step: int(steps_per_log - step % steps_per_log),
            checkpoint_manager=manager,
            summary_dir=os.path.join(model_dir, "train"),
            eval_summary_dir=os.path.join(model_dir, "validation"),
            train_actions=[NanGuard(trainer, model_dir)],
        )
