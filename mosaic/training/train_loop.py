"""Training: from a configured experiment to a trained, scored and exported network."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import gin
import numpy as np
import orbit
import tensorflow as tf
from absl import logging

from mosaic import config
from mosaic.checkpoints import loading
from mosaic.checkpoints.run_folder import (
    announce_first,
    check_start,
    forget_start,
    restoring,
    set_aside_later,
    tidy,
)
from mosaic.evaluation.protocols import Evaluation
from mosaic.experiment import check_classes, load_experiment
from mosaic.export.saved_model import write as saved_model
from mosaic.models import cost as model_cost
from mosaic.models import quantization_aware
from mosaic.models.inputs import check_size
from mosaic.training.history import History, Times, summary
from mosaic.training.runtime import runtime
from mosaic.training.task import SegmentationTask, predict
from mosaic.training.trainer import BestCheckpoint, NanGuard, StopOnSignal, Stopped, Trainer
from mosaic.utils import class_names
from mosaic.utils.atomic_io import locked, write_text
from mosaic.utils.errors import RunError, UserError, check_positive
from mosaic.utils.progress import Progress
from mosaic.utils.provenance import command, provenance
from mosaic.utils.run_layout import BEST_FOLDER, METRIC, SAVED_MODEL
from mosaic.utils.visualize import overlay, shrunk

# About how many of the evaluations TensorBoard has pictures of, and how wide these are at most.
_SHOWN, _WIDTH = 50, 1536


def run(model_dir: str) -> None:
    """Trains as configured, and exports the best network as model_dir/saved_model.

    Args:
      model_dir: as for `train`.
    """
    check_start(model_dir, config.value("train.init_checkpoint"))
    with locked(model_dir), runtime().scope():
        train(model_dir)
    # Built again outside the strategy's scope: variables that replicas mirror cannot be exported.
    model, dataset, evaluation, _ = load_experiment(os.path.join(model_dir, BEST_FOLDER))
    path = os.path.join(model_dir, SAVED_MODEL)
    image, _ = dataset.example(evaluation.split, 0)
    print(f"{path}: {saved_model(model, [image], path, dataset)}", file=sys.stderr)


# Orbit prints every block's figures on standard output; they are in the progress line already.
orbit.controller._log = logging.info


@gin.configurable(module="mosaic")
def train(
    model_dir: str,
    model=gin.REQUIRED,
    dataset=gin.REQUIRED,
    loss=gin.REQUIRED,
    optimizer=gin.REQUIRED,
    steps: int = gin.REQUIRED,
    batch_size: int = gin.REQUIRED,
    seed: int = 0,
    steps_per_log: int = 10,
    eval_interval: int = gin.REQUIRED,
    evaluation: Evaluation = gin.REQUIRED,
    checkpoint_interval: int | None = None,
    max_to_keep: int = 3,
    init_checkpoint: str | None = None,
    init_prefixes: Sequence[str] = ("",),
    rescale_features_above: float | None = None,
) -> dict[str, float]:
    """Trains a network, or goes on where an earlier run of the same folder stopped.

    Args:
      model_dir: receives checkpoints, config.gin, history.jsonl, times.jsonl, TensorBoard's files,
        the best network as best_ckpt/, and at the end curves.png and training.json, the summary.
      model: a `tf_keras.Model` from images in 0..255 to logits.
      dataset: a description with batches.
      loss: of (labels, logits).
      optimizer: of `tf_keras`.
      steps: to train up to, counted from the start of the first run.
      batch_size: global, over all replicas.
      seed: of the order and augmentation of the training data.
      steps_per_log: steps between two figures of the loss.
      eval_interval: steps between two evaluations.
      evaluation: what they score, and how.
      checkpoint_interval: steps between two checkpoints; `eval_interval` if None.
      max_to_keep: checkpoints besides the best.
      init_checkpoint: a checkpoint to start from; nothing is loaded where a run is resumed.
      init_prefixes: the start of the names of the variables to take from it.
      rescale_features_above: where what they hand to the others has a larger root mean square than
        this, it is scaled to 1 (`mosaic.models.feature_rescaling`); None leaves all as it was.

    Returns:
      The best evaluation: `mean_iou` (0 to 1), `iou/{class}`, and `step`.

    Raises:
      UserError: the configuration contradicts itself or the data.
      RunError: the loss is no longer finite, or a signal stopped the run.
    """
    check_positive(
        "train",
        steps=steps,
        batch_size=batch_size,
        steps_per_log=steps_per_log,
        eval_interval=eval_interval,
    )
    check_classes(model, dataset)
    check_size(model, *dataset.crop_size)
    if dataset.image_size:
        # Validation is on whole images.
        check_size(model, *dataset.image_size)
    tidy(model_dir)
    tidy(os.path.join(model_dir, BEST_FOLDER))
    forget_start(model_dir)
    _check_kind(model, model_dir)
    task = SegmentationTask(
        model,
        dataset,
        loss,
        batch_size,
        seed,
        evaluation.split,
        evaluation.batch_size,
        init_checkpoint,
        (init_prefixes,) if isinstance(init_prefixes, str) else tuple(init_prefixes),
        evaluation.ignored_classes(dataset.class_names),
        rescale_features_above,
    )
    set_aside_later(model_dir)
    best = BestCheckpoint(os.path.join(model_dir, BEST_FOLDER))
    with StopOnSignal() as stop:
        trainer = Trainer(task, optimizer, best, stop)
        manager = tf.train.CheckpointManager(
            trainer.checkpoint,
            model_dir,
            max_to_keep,
            step_counter=trainer.global_step,
            checkpoint_interval=checkpoint_interval or eval_interval,
            init_fn=trainer.initialize,
        )
        with restoring(model_dir):
            controller = orbit.Controller(
                global_step=trainer.global_step,
                trainer=trainer,
                evaluator=trainer,
                # Blocks of steps end at multiples, wherever a run was resumed.
                steps_per_loop=lambda step: int(steps_per_log - step % steps_per_log),
                checkpoint_manager=manager,
                summary_dir=os.path.join(model_dir, "train"),
                eval_summary_dir=os.path.join(model_dir, "validation"),
                train_actions=[NanGuard(trainer, model_dir)],
            )
        start = int(trainer.global_step.numpy())
        if not start:
            # A folder that cannot be written to shows now, not after an hour; and the intervals
            # between checkpoints count from here.
            announce_first(model_dir)
            controller.save_checkpoint()
        trainer.start_at(start)
        history = History(os.path.join(model_dir, "history.jsonl"), start)
        times = Times(os.path.join(model_dir, "times.jsonl"), start)
        for name, before, now in config.changes(model_dir) if start else ():
            print(f"warning: {name} was {before}, and is {now} from here on", file=sys.stderr)
        config.save(model_dir)
        class_names.save(model_dir, dataset)
        cost = model_cost.count(quantization_aware.float_network(model), *dataset.crop_size)
        print(f"{model.name}: {cost}", file=sys.stderr)
        if start:
            print(f"resuming {model_dir} at step {start} of {steps}", file=sys.stderr)
        with Progress(steps, "train", "step", done=start) as bar:
            run = _Run(
                controller,
                trainer,
                history,
                times,
                bar,
                stop,
                batch_size,
                evaluation.num_pictures,
            )
            try:
                run.until(steps, eval_interval)
            except Stopped as stopped:
                controller.save_checkpoint()
                raise RunError(
                    f"stopped by {stopped} at step {int(trainer.global_step.numpy())} and saved; "
                    "run the same command again to go on"
                ) from None
    history.draw(os.path.join(model_dir, "curves.png"))
    found = {
        **provenance(command()),
        "network": model.name,
        "parameters": cost.weights,
        "multiply_adds": cost.multiply_adds,
        "input_size": list(dataset.crop_size),
        "dataset": dataset.name,
        "split": evaluation.split,
        "steps": steps,
        "batch_size": batch_size,
        **summary(history, times),
    }
    write_text(os.path.join(model_dir, "training.json"), json.dumps(found, indent=2) + "\n")
    return found["best"]


def _check_kind(model, model_dir: str) -> None:
    """Checks that a run's checkpoint is of the same kind as the network that would go on."""
    latest = tf.train.latest_checkpoint(model_dir)
    try:
        saved = latest and loading.read(latest)
    except UserError:
        return  # `restoring` tells what is wrong with it, and the mend.
    if saved:
        quantization_aware.check_kind(model, latest, saved.arrays)


class _Run:
    """The outer loop: steps, evaluations, and the figures of both."""

    def __init__(self, controller, trainer, history, times, bar, stop, batch_size, num_pictures):
        self._controller = controller
        self._trainer = trainer
        self._history = history
        self._times = times
        self._bar = bar
        self._stop = stop
        self._batch_size = batch_size
        self._num_pictures = num_pictures
        self._shown = self._step
        # The timer also counts tracing, evaluations and checkpoints before a block.
        self._is_timed = False
        controller.train_actions += (self._after_steps,)

    @property
    def _step(self) -> int:
        return int(self._trainer.global_step.numpy())

    def until(self, steps: int, eval_interval: int) -> None:
        """Trains to `steps`, evaluating at every multiple of `eval_interval` and at the end."""
        if self._step and self._due(steps, eval_interval):
            self._evaluate(steps, eval_interval)
        while self._step < steps:
            target = min(steps, (self._step // eval_interval + 1) * eval_interval)
            self._controller.train(target, checkpoint_at_completion=False)
            self._evaluate(steps, eval_interval)
        latest = self._controller.checkpoint_manager.latest_checkpoint or ""
        if not latest.endswith(f"-{self._step}"):
            self._controller.save_checkpoint()

    def _due(self, steps: int, eval_interval: int) -> bool:
        """Whether a run was stopped between the steps and the evaluation that belongs to them."""
        at = self._step % eval_interval == 0 or self._step >= steps
        return at and not self._history.evaluated(self._step)

    def _after_steps(self, output) -> None:
        loss, rate = float(output["training_loss"]), float(output["learning_rate"])
        self._history.add(step=self._step, loss=loss, learning_rate=rate)
        speed = {"images_per_second": self._rate()} if self._is_timed else {}
        self._times.note(self._step, **speed)
        self._is_timed = True
        self._bar.update(
            self._step - self._shown,
            loss=f"{loss:.4f}",
            lr=f"{rate:.3g}",
            **{"images/s": f"{self._rate():.3g}"},
        )
        self._shown = self._step
        self._stop.check()

    def _rate(self) -> float:
        """Training images a second since the last block of steps."""
        return self._controller.step_timer.steps_per_second(restart=False) * self._batch_size

    def _evaluate(self, steps: int, eval_interval: int) -> None:
        output = self._controller.evaluate()
        ious = {
            name.removeprefix("iou/"): None if np.isnan(value) else float(value)
            for name, value in output.items()
            if name.startswith("iou/")
        }
        score = float(output[METRIC])
        self._history.add(step=self._step, mean_iou=score, iou=ious)
        self._times.note(self._step)
        best = float(output[f"best_{METRIC}"])
        self._bar.say(f"step {self._step}: validation mIoU {score:.4f}, best {best:.4f}")
        self._is_timed = False
        # Pictures of every evaluation of a long run would fill the disk.
        if self._step // eval_interval % max(1, steps // eval_interval // _SHOWN) == 0:
            self._show()

    def _show(self) -> None:
        """Gives TensorBoard validation images, evenly spread, with truth and prediction."""
        task = self._trainer.task
        total = task.dataset.num_images(task.eval_split)
        chosen = np.linspace(0, total - 1, min(self._num_pictures, total)).astype(int).tolist()
        with self._controller.eval_summary_manager.summary_writer().as_default():
            for index in chosen:
                image, label = task.dataset.example(task.eval_split, index)
                predicted = predict(task.model, image[np.newaxis], label[np.newaxis])[0].numpy()
                picture = shrunk(overlay(image, label, predicted, task.dataset), _WIDTH)
                name = f"validation/{task.dataset.image_id(task.eval_split, index)}"
                tf.summary.image(name, picture[np.newaxis], self._step)
