"""What the Garden's trainer lacks: guards, signals, and a best checkpoint that is always whole."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import sys
from collections.abc import Iterator

import numpy as np
import orbit
import tensorflow as tf
from official.core import base_trainer, train_utils
from official.core import config_definitions as cfg

from mosaic import checkpoints
from mosaic.errors import RunError, UserError
from mosaic.files import write_text
from mosaic.forms import is_there
from mosaic.progress import Progress

METRIC = "mean_iou"
BEST_FOLDER = "best_ckpt"


class Stopped(Exception):
    """A signal asked the run to stop."""


class StopOnSignal:
    """Within its block, SIGINT and SIGTERM are noted and acted on where it is safe to stop.

    A second signal ends the process at once.
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
        """Raises `Stopped` if a signal came."""
        if self.name:
            raise Stopped(self.name)


class BestCheckpoint(train_utils.BestCheckpointExporter):
    """Keeps the checkpoint with the highest mean IoU, and what it scored.

    The Garden's exporter writes the score over the old one before it saves the checkpoint; a
    process killed in between leaves a score that belongs to no checkpoint, and no later one may
    pass it. Here each checkpoint has a score file of its own, written first, and becomes the best
    when TensorFlow renames the folder's state file, in one step.
    """

    def __init__(self, folder: str):
        super().__init__(folder, METRIC, "higher")

    def _score_path(self, step: int) -> str:
        return os.path.join(self._export_dir, f"{METRIC}-{step}.json")

    def _maybe_load_best_eval_metric(self):
        latest = tf.train.latest_checkpoint(self._export_dir)
        if latest is None:
            return None
        path = self._score_path(int(latest.rpartition("-")[2]))
        return json.loads(pathlib.Path(path).read_text()) if os.path.exists(path) else None

    def maybe_export_checkpoint(self, checkpoint, eval_logs, global_step, write_logs=True) -> bool:
        """Saves the network if `eval_logs` are better than the best so far."""
        old = self._best_ckpt_logs
        if old is not None and not self._new_metric_is_better(old, eval_logs):
            return False
        # A class that does not occur has no IoU, and JSON no NaN.
        logs = {k: None if np.isnan(v) else float(v) for k, v in eval_logs.items()}
        step = int(global_step)
        write_text(self._score_path(step), json.dumps({**logs, "step": step}, indent=2) + "\n")
        network = tf.train.Checkpoint(model=checkpoint.model, global_step=checkpoint.global_step)
        manager = tf.train.CheckpointManager(network, self._export_dir, 1, checkpoint_name="ckpt")
        manager.save(checkpoint_number=step)
        self._best_ckpt_logs = logs
        tidy(self._export_dir)
        return True


class Trainer(base_trainer.Trainer):
    """The Garden's trainer with progress of evaluation, and a stop between its batches.

    Args:
      task: a `SegmentationTask`.
      optimizer: of `tf_keras`.
      best: keeps the best checkpoint.
      stop: says when to stop.
    """

    def __init__(self, task, optimizer, best: BestCheckpoint, stop: StopOnSignal):
        config = cfg.ExperimentConfig(
            trainer=cfg.TrainerConfig(best_checkpoint_eval_metric=METRIC),
            runtime=cfg.RuntimeConfig(),
        )
        self._stop = stop
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

    def eval_begin(self):
        super().eval_begin()
        self.task.confusion.reset_state()
        images = self.task.dataset.num_images(self.task.eval_split)
        # Images of several sizes come one by one.
        together = self.task.eval_batch_size if self.task.dataset.image_size else 1
        self._bar = Progress(-(-images // together), "evaluate", "batch")

    def eval_reduce(self, state=None, step_outputs=None):
        self._bar.update()
        self._stop.check()
        return super().eval_reduce(state, step_outputs)

    def eval_end(self, aggregated_logs=None):
        self._bar.__exit__()
        return super().eval_end(aggregated_logs)


def _distribute(task, params: dict):
    """The task's batches for `params`, each replica's share to each replica."""
    strategy = tf.distribute.get_strategy()
    return orbit.utils.make_distributed_dataset(strategy, task.build_inputs, params)


class Guard:
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


def check_start(folder: str, init_checkpoint: str | None) -> None:
    """Finds out before long work whether the checkpoint that a new run starts from is there.

    Raises:
      UserError: it is not, and the run's folder has nothing to go on from either.
    """
    resumes = os.path.exists(os.path.join(folder, "checkpoint"))
    if init_checkpoint and not resumes and not is_there(init_checkpoint):
        raise UserError(
            f"INIT_CHECKPOINT={init_checkpoint}: no such file or folder; None starts from scratch"
        )


def tidy(folder: str) -> None:
    """Makes a checkpoint folder's files and its state agree.

    What a killed process left half written is removed; what the user removed is taken from the
    state, so that a run goes on from the checkpoint before. Whole checkpoints stay, listed or not.

    Raises:
      UserError: whole checkpoints are there, and no state that lists any of them.
    """
    names = os.listdir(folder) if os.path.isdir(folder) else []
    # TensorFlow writes the index last.
    found = (re.fullmatch(r"ckpt-(\d+)\.index", name) for name in names)
    steps = sorted(int(match[1]) for match in found if match)
    whole = [f"ckpt-{step}" for step in steps]
    state = checkpoints.state(folder)
    listed = state.all_model_checkpoint_paths or [state.model_checkpoint_path] if state else []
    there = [path for path in listed if os.path.exists(f"{path}.index")]
    if whole and not there:
        # A score precedes its checkpoint, and that the state: this one was only not listed yet.
        scored = [f"ckpt-{step}" for step in steps if f"{METRIC}-{step}.json" in names]
        if not scored:
            raise UserError(
                f"{folder}: {', '.join(whole)} in it, but no state file that lists any of them; "
                "take another --model_dir or move them away, or to go on from the last, write "
                f'model_checkpoint_path: "{whole[-1]}" into {os.path.join(folder, "checkpoint")}'
            )
        there = [os.path.join(folder, scored[-1])]
    if there and there != list(listed):
        tf.compat.v1.train.update_checkpoint_state(folder, there[-1], there)
    for name in names:
        path = os.path.join(folder, name)
        checkpoint = re.fullmatch(r"(ckpt-\d+)\.(index|data-\d+-of-\d+)(\.tempstate\d+)?", name)
        score = re.fullmatch(rf"{METRIC}-(\d+)\.json", name)
        if re.fullmatch(r"ckpt-\d+_temp", name):
            shutil.rmtree(path)
        elif (
            (checkpoint and checkpoint[1] not in whole)
            or (score and f"ckpt-{score[1]}" not in whole)
            or name.startswith("checkpoint.tmp")
            or (name == "checkpoint" and not there)
        ):
            os.remove(path)


def forget_start(folder: str) -> None:
    """Removes a checkpoint of step 0: a run that got no further starts from what it is told now."""
    latest = tf.train.latest_checkpoint(folder) or ""
    if os.path.basename(latest) == "ckpt-0":
        tf.compat.v1.train.remove_checkpoint(latest)
        os.remove(os.path.join(folder, "checkpoint"))


def set_aside_later(folder: str) -> None:
    """Moves a best checkpoint away that is later than where training goes on.

    Its steps are about to be done again, maybe otherwise, and its score would be the bar for those.
    """
    best = os.path.join(folder, BEST_FOLDER)
    steps = [
        int(latest.rpartition("-")[2]) if latest else 0
        for latest in map(tf.train.latest_checkpoint, (best, folder))
    ]
    if steps[0] <= steps[1]:
        return
    aside = next(
        name
        for name in (f"{best}.before{number}" for number in itertools.count(1))
        if not os.path.exists(name)
    )
    os.rename(best, aside)
    print(
        f"warning: {best} is of step {steps[0]}, and training goes on at {steps[1]}: moved to "
        f"{aside}",
        file=sys.stderr,
    )


def announce_first(folder: str) -> None:
    """Lists a run's first checkpoint, of step 0, before it is saved.

    A process killed before TensorFlow lists it would else leave what `tidy` takes for another's.
    """
    os.makedirs(folder, exist_ok=True)
    tf.compat.v1.train.update_checkpoint_state(folder, os.path.join(folder, "ckpt-0"))


@contextlib.contextmanager
def restoring(folder: str) -> Iterator[None]:
    """Turns a failure to restore the latest checkpoint of a folder into one line with the mend."""
    latest = tf.train.latest_checkpoint(folder)
    try:
        yield
    except (tf.errors.OpError, RuntimeError, IndexError, ValueError) as error:
        if latest is None or isinstance(error, UserError):
            raise
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{latest}: cannot be restored ({reason}); if the configuration is that of the run, "
            f"remove {latest}.* and run again to go on from the checkpoint before"
        ) from None
