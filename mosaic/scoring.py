"""From an experiment and a checkpoint to a report."""

from __future__ import annotations

import dataclasses
import shlex
import sys

from mosaic import checkpoints, config
from mosaic.errors import UserError
from mosaic.evaluation import evaluate, table


def check_classes(model, dataset) -> None:
    """Checks that a network has a logit for each class of a data set.

    Raises:
      UserError: it has not.
    """
    if model.output_shape[-1] != dataset.num_classes:
        raise UserError(
            f"the network has {model.output_shape[-1]} logits and {dataset.name} has "
            f"{dataset.num_classes} classes; set NUM_CLASSES = {dataset.num_classes}"
        )


def load_experiment(checkpoint: str):
    """Builds the experiment's network with a checkpoint's weights.

    Returns:
      (model, dataset, evaluation), as `train` would get them.

    Raises:
      UserError: the checkpoint does not fit, or network and data set disagree on the classes.
    """
    dataset = config.build("train.dataset")
    model = config.build("train.model")
    check_classes(model, dataset)
    checkpoints.load(model, checkpoint)
    return model, dataset, config.build("train.evaluation")


def score_checkpoint(checkpoint: str, output_dir: str, split: str | None = None) -> dict:
    """Scores a checkpoint under the configured experiment, prints the table, writes the report.

    Args:
      checkpoint: as for `checkpoints.read`.
      output_dir: for report.json and the pictures.
      split: instead of the experiment's own.

    Returns:
      The report.
    """
    model, dataset, evaluation = load_experiment(checkpoint)
    if split:
        evaluation = dataclasses.replace(evaluation, split=split)
    command = "python " + shlex.join(sys.argv)
    report = evaluate(model, dataset, evaluation, checkpoint, output_dir, command)
    print(table(report))
    print(f"{report['num_images']} images of {dataset.name} {evaluation.split}; see {output_dir}")
    return report
