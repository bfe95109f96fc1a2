"""The outer loop of a run: blocks of steps, evaluations between them, and the records of both."""

from __future__ import annotations

import contextlib

import numpy as np
import orbit
import tensorflow as tf

from mosaic.distribution import workers
from mosaic.training.ending import Ending, TimeUp
from mosaic.training.history import History, Times
from mosaic.training.task import predict
from mosaic.training.trainer import Trainer
from mosaic.utils.progress import Progress
from mosaic.utils.run_layout import METRIC
from mosaic.utils.visualize import evenly_spread, overlay, shrunk

# Approximate number of evaluations with pictures in TensorBoard, and their largest width in pixels.
_SHOWN, _WIDTH = 50, 1536


class OuterLoop:
    """Trains block by block and evaluates, and records the metrics of both.

    Args:
      controller: controller that runs steps and evaluations.
      trainer: trainer that it runs.
      history: record of losses and evaluations.
      times: record of their times.
      bar: progress bar of the training.
      ending: when training ends before its last step; None for never.
    """

    def __init__(
        self,
        controller: orbit.Controller,
        trainer: Trainer,
        history: History,
        times: Times,
        bar: Progress,
        ending: Ending | None = None,
    ):
        self._controller = controller
        self._trainer = trainer
        self._history = history
        self._times = times
        self._bar = bar
        self._ending = ending or Ending()
        self._shown = self._step
        # The timer also counts tracing, evaluations and checkpoints before a block.
        self._is_timed = False
        controller.train_actions += (self._after_steps,)

    @property
    def _step(self) -> int:
        return int(self._trainer.global_step.numpy())

    def until(self, steps: int, eval_interval: int) -> None:
        """Trains to `steps`, evaluating at every multiple of `eval_interval` and at the end.

        It ends earlier where `Ending` has a reason.
        """
        if self._step and self._due(steps, eval_interval):
            self._evaluate(steps, eval_interval)
        while self._step < steps:
            reason = self._ending.reason(self._history.entries, self._times.entries)
            # The clocks of several workers differ.
            if workers.any_of_them(bool(reason)):
                self._bar.say(f"ended at step {self._step} of {steps}; {reason}")
                break
            target = min(steps, (self._step // eval_interval + 1) * eval_interval)
            with contextlib.suppress(TimeUp):
                self._controller.train(target, checkpoint_at_completion=False)
            self._evaluate(steps, eval_interval)
        latest = self._controller.checkpoint_manager.latest_checkpoint or ""
        if not latest.endswith(f"-{self._step}"):
            self._controller.save_checkpoint()

    def _due(self, steps: int, eval_interval: int) -> bool:
        """Whether the evaluation of the current step is missing: a run was stopped before it.

        Without a best checkpoint it is done again: at the end there must be one.
        """
        at = self._step % eval_interval == 0 or self._step >= steps
        return at and (self._trainer.best.is_missing or not self._history.evaluated(self._step))

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
        self._trainer.stop.check()
        # Workers whose clocks differ agree on it; without a limit they need no word.
        if self._ending.hours and workers.any_of_them(self._ending.is_late(self._times.entries)):
            raise TimeUp

    def _rate(self) -> float:
        """Training images per second in the last block of steps."""
        return (
            self._controller.step_timer.steps_per_second(restart=False)
            * self._trainer.task.batch_size
        )

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
        if told := self._trainer.task.only_answer():
            # Batch norm's averages follow slowly, so that the loss may already be far lower.
            self._bar.say(f"warning: {told}: too little is learnt yet")
        self._is_timed = False
        # Pictures of every evaluation of a long run would fill the disk.
        if self._step // eval_interval % max(1, steps // eval_interval // _SHOWN) == 0:
            self._show()

    def _show(self) -> None:
        """Writes validation images, evenly spread, with truth and prediction for TensorBoard."""
        task = self._trainer.task
        total = task.dataset.num_images(task.evaluation.split)
        with self._controller.eval_summary_manager.summary_writer().as_default():
            for index in evenly_spread(task.evaluation.num_pictures, total):
                image, label = task.dataset.example(task.evaluation.split, index)
                predicted = predict(task.model, image[np.newaxis], task.evaluation)[0].numpy()
                picture = shrunk(overlay(image, label, predicted, task.dataset), _WIDTH)
                name = f"validation/{task.dataset.image_id(task.evaluation.split, index)}"
                tf.summary.image(name, picture[np.newaxis], self._step)
