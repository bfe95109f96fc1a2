"""Scoring a checkpoint or an exported file under an experiment, with a report."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mosaic import config
from mosaic.checkpoints.origin import read
from mosaic.checkpoints.run_folder import has_classes, steps_of
from mosaic.checkpoints.run_record import Record
from mosaic.evaluation import memory_check, run_departures
from mosaic.evaluation import published as results
from mosaic.evaluation.evaluator import Origin, evaluate
from mosaic.evaluation.protocols import Evaluation
from mosaic.evaluation.report_table import table
from mosaic.evaluation.run_departures import Found
from mosaic.experiment import load_predictor
from mosaic.inference import model_classes, predictors
from mosaic.models.variables import Variables
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel, opened
from mosaic.utils import class_names, gin_text
from mosaic.utils.errors import UserError
from mosaic.utils.model_format import format_of
from mosaic.utils.numbers import number_of
from mosaic.utils.provenance import command
from mosaic.utils.segmentation_dataset import SurveyedDataset


def _network_settings(predictor: predictors.Predictor) -> dict:
    """Known settings of a network or a file, by the names in published.json."""
    if predictor.format != "network":
        return {
            "numbers": predictor.precision,
            "normalization": predictor.normalization or results.INSIDE,
        }
    arguments = config.arguments(config.network())
    return {
        "numbers": predictor.precision,
        "normalization": arguments.get("normalization"),
        "output_stride": arguments.get("output_stride", 16),  # MOSAIC has no other
    }


def _is_trained_here(path: str | TFLiteModel, loaded: Variables | None) -> bool:
    """Whether this project trained the weights; weights that others published have no recipe.

    Files that this project wrote count as trained here, whatever they were made from.
    """
    if isinstance(path, TFLiteModel):
        return tflite_metadata.read(path).is_own
    if format_of(path) == "saved_model":
        return os.path.isfile(os.path.join(path, "assets.extra", class_names.FILE))
    return loaded.format == "mosaic" or has_classes(path)


def _training(key: str | None, record: Record, steps: int | None) -> tuple[dict | None, Found]:
    """The recipe of a network trained here for a published result, and how its training departs."""
    if not key:
        return None, Found()
    recipe = _recipe(key, run_departures.configuration(record, steps), steps)
    if "recipe" not in results.result(key):
        return recipe, Found()
    return recipe, run_departures.of_run(key, record, steps)


def _recipe(key: str, run: Mapping[str, Any], steps: int | None) -> dict:
    """The values that a run had for the parameters that a published recipe names.

    `train.steps` is the number of steps that were done; it is left out where that is not known.
    """
    recipe = {}
    for name in results.result(key).get("recipe", {}):
        if name != "train.steps":
            recipe[name] = gin_text.as_json(run.get(name, config.default(name)))
    return recipe if steps is None else {**recipe, "train.steps": steps}


def _check_answers(path: str | TFLiteModel, predictor, dataset, evaluation: Evaluation) -> None:
    """Checks that a predictor has the classes that it is scored on, as far as it names them."""
    if predictor.format == "tflite":
        said = tflite_metadata.read(path).classes
    else:
        # Files beside an archive say nothing about what is in it.
        said = None if os.path.isfile(path) else model_classes.find(path)
    names = said.class_names if said else ()
    count = predictor.num_classes or (len(names) if predictor.format == "tflite" else 0)
    expected = len(evaluation.class_map or dataset.class_names)
    if count not in (0, expected):
        raise UserError(
            f"{path} has {count} classes, but {expected} are expected "
            + ("by Evaluation.class_map" if evaluation.class_map else f"by {dataset.name}")
            + "; it needs an Evaluation.class_map of its own (see configs/ade20k_on_camvid.gin)"
        )
    if evaluation.class_map:
        unknown = [index for index in evaluation.class_map if index >= dataset.num_classes]
        if unknown:
            raise UserError(
                f"Evaluation.class_map has {unknown[0]}, and {dataset.name} has the classes 0 to "
                f"{dataset.num_classes - 1}; -1 stands for none"
            )
        return
    for one, other in zip(names, dataset.class_names):
        if one != other:
            line = f"warning: {path} calls {one!r} what is {other!r} in {dataset.name}"
            print(line, file=sys.stderr)
            return


@functools.cache
def _warn(line: str) -> None:
    """Tells a line about the data once, however many checkpoints are scored on them."""
    print(f"warning: {line}", file=sys.stderr)


def score(
    path: str,
    output_dir: str,
    split: str | None = None,
    normalization: str | None = None,
    as_network: bool = False,
    submission_dir: str | None = None,
    allow_code: bool = False,
    devices: Sequence[str] = (),
    all_overlays: bool = False,
) -> dict:
    """Scores under the configured experiment, prints the table, writes the report.

    Args:
      path: path of a checkpoint or an exported file, as for `load_predictor`.
      output_dir: folder for report.json and the pictures.
      split: name of a split to score instead of the experiment's own.
      normalization: normalisation of a file's input, see `file_predictors.of_file`.
      as_network: whether a TFLite file's weights are loaded into the network, see `load_predictor`.
      submission_dir: folder for predictions for official scorers, see `evaluate`.
      allow_code: whether a SavedModel may use files and run code, see `load_predictor`.
      devices: names of devices that score images side by side, see `load_predictor`.
      all_overlays: whether overlays are drawn of all images, and not of `num_pictures`.

    Returns:
      The report.

    Raises:
      UserError: its classes disagree with the data set's, or it cannot be loaded, or memory is too
        small; `data`'s own error where the split has no labels, unless predictions are written.
    """
    evaluation: Evaluation = config.build("train.evaluation")
    if split:
        evaluation = dataclasses.replace(evaluation, split=split)
    dataset = config.build("train.dataset")
    if isinstance(dataset, SurveyedDataset) and submission_dir is None:
        for line in dataset.check_labels(evaluation.split):
            if evaluation.split != "train":  # what training lacks matters to training alone
                _warn(line)
    if as_network or not path.endswith(".tflite"):
        memory_check.check(dataset, evaluation)  # files have a size of their own
    if all_overlays:
        count = dataset.num_images(evaluation.split)
        evaluation = dataclasses.replace(evaluation, num_pictures=count)
    model = opened(path)
    predictor, loaded = load_predictor(model, normalization, as_network, allow_code, devices)
    _check_answers(model, predictor, dataset, evaluation)
    network = {"as_network": as_network, **_network_settings(predictor)}
    recipe, training, run = None, Found(), None
    if _is_trained_here(model, loaded):
        record = read(model)
        steps = steps_of(model, loaded) if record.steps is None else record.steps
        recipe, training = _training(evaluation.published, record, steps)
        run = run_departures.identity(record, steps) if record.entries else None
    is_garden = recipe is None and loaded is not None and loaded.format == "garden"
    origin = Origin(path, command(), network, recipe, training, is_garden, run)
    report = evaluate(predictor, dataset, evaluation, origin, output_dir, submission_dir)
    print(table(report))
    images = number_of(report["num_images"], "image")
    print(f"{images} of {dataset.name} {evaluation.split}; see {output_dir}")
    return report
