"""Training: from a configured experiment to a trained, scored and exported network."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import gin
import orbit
import tensorflow as tf
import tf_keras

from mosaic import config
from mosaic.checkpoints import asked_settings, origin, run_record
from mosaic.checkpoints.run_folder import (
    announce_first,
    check_best,
    check_start,
    done,
    prepare,
    set_aside_later,
)
from mosaic.distribution import workers
from mosaic.distribution.runtime import runtime
from mosaic.evaluation import memory_check
from mosaic.evaluation.protocols import Evaluation
from mosaic.experiment import load_experiment
from mosaic.export import saved_model
from mosaic.export.parity import warn_of_one_class
from mosaic.models import cost as model_cost
from mosaic.models import quantization_aware
from mosaic.models.freezing import freeze
from mosaic.training import accumulation, curves, data_note, precision, step_memory
from mosaic.training.accumulation import AccumulatingTrainer
from mosaic.training.averaging import averaged
from mosaic.training.completeness import check_trains
from mosaic.training.data_check import check_content, check_fit
from mosaic.training.ending import Ending
from mosaic.training.history import History, Times, summary
from mosaic.training.losses import Loss
from mosaic.training.outer_loop import OuterLoop
from mosaic.training.settling import tell_slow_averages
from mosaic.training.task import InitialWeights, SegmentationTask
from mosaic.training.trainer import (
    BestCheckpoint,
    Saving,
    StopOnSignal,
    Stopped,
    Trainer,
    quiet_controller,
)
from mosaic.training.worker_folder import check_same_step, own_folder
from mosaic.utils import bound_settings, class_names
from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import RunError
from mosaic.utils.progress import Progress
from mosaic.utils.provenance import command, provenance
from mosaic.utils.run_layout import BEST_FOLDER, SAVED_MODEL, check_files, default_checkpoint
from mosaic.utils.segmentation_dataset import SegmentationDataset
from mosaic.utils.settings import (
    BATCH,
    BELOW_1,
    POSITIVE,
    SEED,
    STEPS,
    Count,
    Path,
    as_names,
    check_arguments,
)


def run(model_dir: str) -> None:
    """Trains as configured, and exports the best network (or the last) as model_dir/saved_model.

    A run that is further than the configured steps is left as it is.

    Args:
      model_dir: folder of the run, as for `train`.

    Raises:
      UserError: the configuration is not for training; or as `train`.
    """
    check_trains()
    check_files(model_dir)
    steps, finished = config.value("train.steps"), done(model_dir)
    if finished > steps:
        print(
            f"{model_dir}: nothing to train: it is at step {finished}, and "
            f"{bound_settings.name_of('train.steps')} is {steps}; its records stay as they are",
            file=sys.stderr,
        )
        return
    check_start(model_dir, config.value("train.init_checkpoint"))
    run_record.entries_in(model_dir)  # a damaged one is told before the work
    asked_settings.take_for_run(model_dir)
    with runtime().scope(), precision.configured(), workers.ending_together():
        if workers.count() > 1:
            # Records are written once where the workers share their folder.
            workers.chief_first(lambda: config.build("train.dataset"))
        if workers.is_chief() and finished < steps:
            tell_slow_averages()
        with own_folder(model_dir) as folder:
            train(folder)
        if not workers.is_chief():
            return
    # Built again outside of the strategy's scope: mirrored variables cannot be exported.
    chosen = default_checkpoint(model_dir)
    model, dataset, evaluation, loaded = load_experiment(chosen)
    path = os.path.join(model_dir, SAVED_MODEL)
    image, _ = dataset.example(evaluation.split, 0)
    record = origin.for_export(chosen, loaded.step)
    result = saved_model.write(model, [image], path, dataset, record=record)
    print(f"{path}: {result}", file=sys.stderr)
    warn_of_one_class(path, result, dataset.class_names)


@gin.configurable(module="mosaic")
def train(
    model_dir: str,
    model: tf_keras.Model = gin.REQUIRED,
    dataset: SegmentationDataset = gin.REQUIRED,
    loss: Loss = gin.REQUIRED,
    optimizer: tf_keras.optimizers.legacy.Optimizer = gin.REQUIRED,
    steps: Annotated[int, STEPS] = gin.REQUIRED,
    batch_size: Annotated[int, BATCH] = gin.REQUIRED,
    seed: Annotated[int, SEED] = 0,
    steps_per_log: Annotated[int, STEPS] = 10,
    eval_interval: Annotated[int, STEPS] = gin.REQUIRED,
    evaluation: Evaluation = gin.REQUIRED,
    checkpoint_interval: Annotated[int, STEPS] | None = None,
    max_to_keep: Count = 3,
    keep_best: bool = True,
    init_checkpoint: Annotated[str, Path()] | None = None,
    init_prefixes: str | Sequence[str] = ("",),
    rescale_features_above: Annotated[float, POSITIVE] | None = None,
    recompute: bool = False,
    frozen_prefixes: str | Sequence[str] = (),
    average_decay: Annotated[float, BELOW_1] | None = None,
    patience: Annotated[int, STEPS] | None = None,
    hours: Annotated[float, POSITIVE] | None = None,
    accumulation_steps: Count = 1,
) -> dict[str, float]:
    """Trains a network, or continues where an earlier run in the same folder stopped.

    Args:
      model_dir: folder for checkpoints, config.gin, history.jsonl, times.jsonl, TensorBoard's
        files, the best network as best_ckpt/, and at the end curves.png and training.json, the
        summary.
      model: network from images [batch, height, width, 3] in 0..255 to logits.
      dataset: data set to train and evaluate on.
      loss: loss of (labels, logits), see `mosaic.training.losses`.
      optimizer: optimizer of `tf_keras`.
      steps: number of training steps, counted from the start of the first run.
      batch_size: number of examples in a step, over all replicas.
      seed: seed of the order and augmentation of the training data.
      steps_per_log: number of steps between two records of the loss.
      eval_interval: number of steps between two evaluations.
      evaluation: settings of the evaluations.
      checkpoint_interval: number of steps between two checkpoints; `eval_interval` if None.
      max_to_keep: number of checkpoints to keep besides the best.
      keep_best: whether the best network by mIoU is kept as best_ckpt/, and is the run's result; if
        not, the last is.
      init_checkpoint: path of a checkpoint to start from, or None; not used where a run is resumed.
      init_prefixes: beginnings of the names of the variables to load from it.
      rescale_features_above: root mean square above which features of loaded layers are scaled to 1
        for new layers (`mosaic.models.feature_rescaling`); None to scale none.
      recompute: whether steps take less memory and compute a part of the network twice
        (`mosaic.models.recompute`); the losses are the same.
      frozen_prefixes: beginnings of the names of layers that are not trained, such as `backbone_`.
      average_decay: decay of the moving average of the trained weights, which is evaluated and kept
        as the best network instead of them; None for no average.
      patience: number of evaluations in a row without a better mIoU after which training ends.
      hours: hours after which training ends, evaluations included, restarts summed up.
      accumulation_steps: number of parts that each replica computes its images of a step in, one
        after the other (`mosaic.training.accumulation`); batch norm sees the parts alone.

    Returns:
      The best evaluation: `mean_iou` (0 to 1), `iou/{class}`, and `step`.

    Raises:
      UserError: the configuration contradicts itself or the data.
      RunError: the loss is no longer finite, or a signal stopped the run.
    """
    check_arguments(train, locals())
    compiles = config.value("runtime.compile")
    precision.check(model, compiles)
    step_memory.check_network(model, recompute)
    check_fit(model, dataset, evaluation)
    cost = model_cost.count(quantization_aware.float_network(model), *dataset.crop_size)
    step_memory.check_batch(cost, batch_size // accumulation_steps, recompute)
    memory_check.check(dataset, memory_check.without_averages(evaluation))
    if accumulation_steps > 1:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        accumulation.check(loss, accumulation_steps, batch_size, replicas)
    check_content(dataset, evaluation.split)
    prepare(model_dir, model, dataset.class_names)
    freeze(model, as_names(frozen_prefixes))
    prefixes = tuple(as_names(init_prefixes))
    initial = InitialWeights(init_checkpoint, prefixes, rescale_features_above)
    task = SegmentationTask(
        model, dataset, loss, batch_size, seed, evaluation, initial, recompute, compiles
    )
    set_aside_later(model_dir)
    check_best(model_dir, model)
    with StopOnSignal() as stop:
        best = BestCheckpoint(os.path.join(model_dir, BEST_FOLDER), keep_best)
        optimizer = precision.with_loss_scale(averaged(optimizer, average_decay))
        if accumulation_steps > 1:
            trainer = AccumulatingTrainer(task, optimizer, best, stop, accumulation_steps)
        else:
            trainer = Trainer(task, optimizer, best, stop)
        saving = Saving(checkpoint_interval or eval_interval, max_to_keep)
        controller = quiet_controller(trainer, model_dir, steps_per_log, saving)
        start = _begin(trainer, controller, model_dir)
        history = History(os.path.join(model_dir, "history.jsonl"), start)
        times = Times(os.path.join(model_dir, "times.jsonl"), start)
        _keep_configuration(model_dir, task, start)
        print(f"{model.name}: {cost}", file=sys.stderr)
        if start:
            print(f"resuming {model_dir} at step {start} of {steps}", file=sys.stderr)
            _tell_missing_best(model_dir, best, history)
        with Progress(steps, "train", "step", done=start) as bar:
            ending = Ending(patience, hours)
            loop = OuterLoop(controller, trainer, history, times, bar, ending)
            try:
                loop.until(steps, eval_interval)
            except Stopped as stopped:
                controller.save_checkpoint()
                raise RunError(
                    f"stopped by {stopped} at step {_end(model_dir, trainer)} and saved; run the "
                    "same command again to go on"
                ) from None
    done_steps = _end(model_dir, trainer)
    curves.draw(history.entries, os.path.join(model_dir, "curves.png"))
    return _summarize(model_dir, task, cost, done_steps, summary(history, times))


def _begin(trainer: Trainer, controller: orbit.Controller, model_dir: str) -> int:
    """Sets the data to a run's first or next step; saves a new run's first checkpoint.

    Returns:
      The step where training starts.
    """
    start = int(trainer.global_step.numpy())
    check_same_step(start)
    if not start:
        # So a folder that cannot be written to is found now, not after an hour; and intervals
        # between checkpoints are counted from here.
        announce_first(model_dir)
        controller.save_checkpoint()
    trainer.start_at(start)
    return start


def _tell_missing_best(model_dir: str, best: BestCheckpoint, history: History) -> None:
    if best.is_missing and any("mean_iou" in entry for entry in history.entries):
        print(
            f"warning: {os.path.join(model_dir, BEST_FOLDER)}: the best checkpoint of the steps "
            "before is not there; the best is that of the evaluations from here on",
            file=sys.stderr,
        )


def _keep_configuration(model_dir: str, task: SegmentationTask, start: int) -> None:
    """Writes a run's configuration, class names and record; warns of what has changed."""
    data = data_note.of(task.dataset)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if start:
        for name, before, now in config.changes(model_dir):
            print(f"warning: {name} was {before}, and is {now} from here on", file=sys.stderr)
        last = run_record.stretches(run_record.entries_in(model_dir), start)[-1:]
        if last and last[0].entry.data and (told := data_note.changes(last[0].entry.data, data)):
            line = f"{model_dir}: the data is not that of the steps before: {'; '.join(told)}"
            print(f"warning: {line}", file=sys.stderr)
    config.save(model_dir)
    class_names.save(model_dir, task.dataset)
    entry = run_record.Entry(
        configuration=run_record.in_use(),
        step=start,
        data=data,
        start=task.start,
        devices={"replicas": replicas, "images": task.batch_size // replicas},
    )
    run_record.append(model_dir, entry)


def _end(model_dir: str, trainer: Trainer) -> int:
    """Records that training ended, also beside the best checkpoint, which may be taken away.

    Returns:
      The step at which it did.
    """
    step = int(trainer.global_step.numpy())
    run_record.end(model_dir, step)
    if trainer.best.is_there:
        trainer.best.keep_record()
    return step


def _summarize(
    model_dir: str, task: SegmentationTask, cost: model_cost.Cost, steps: int, results: Mapping
) -> dict:
    """Writes training.json, the summary of a finished run, and returns the best evaluation."""
    found = {
        **provenance(command()),
        "network": task.model.name,
        "parameters": cost.weights,
        "multiply_adds": cost.multiply_adds,
        "input_size": list(task.dataset.crop_size),
        "dataset": task.dataset.name,
        "split": task.evaluation.split,
        "steps": steps,
        "batch_size": task.batch_size,
        **results,
    }
    write_text(os.path.join(model_dir, "training.json"), json.dumps(found, indent=2) + "\n")
    return found["best"]
