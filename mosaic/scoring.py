"""From an experiment and a checkpoint, or an exported file, to a report."""

from __future__ import annotations

import dataclasses
import sys

from mosaic import checkpoints, config, predictors, tflite_metadata
from mosaic import published as results
from mosaic.errors import UserError
from mosaic.evaluation import Evaluation, evaluate, table
from mosaic.forms import form_of
from mosaic.provenance import command


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
    """Builds all of the experiment that works on a trained network.

    Returns:
      (model with a checkpoint's weights, dataset, evaluation), as `train` would get them, and what
      the checkpoint holds (`checkpoints.Variables`).

    Raises:
      UserError: the checkpoint does not fit, or network and data set disagree on the classes.
    """
    dataset = config.build("train.dataset")
    model = config.build("train.model")
    check_classes(model, dataset)
    loaded = checkpoints.load(model, checkpoint)
    return model, dataset, config.build("train.evaluation"), loaded


def load_predictor(path: str, normalization: str | None = None, as_network: bool = False):
    """Loads whatever segments: a file as it is, a checkpoint into the experiment's network.

    Args:
      path: a SavedModel folder, a .tflite file, or a checkpoint as for `checkpoints.read`.
      normalization: see `predictors.of_file`.
      as_network: load a .tflite file's weights into the experiment's network.

    Returns:
      (predictor, form of what was loaded: `saved_model`, `tflite`, or a checkpoint's own).

    Raises:
      UserError: it cannot be loaded.
    """
    if as_network or form_of(path) == "network":
        model = config.build("train.model")
        loaded = checkpoints.load(model, path)
        return predictors.of_network(model), loaded.form
    predictor = predictors.of_file(path, normalization)
    return predictor, predictor.form


def _network_settings() -> dict:
    """What published.json knows of networks, which a file keeps to itself."""
    arguments = config.arguments(config.network())
    stride = arguments.get("output_stride", 16)  # MOSAIC has no other
    return {"normalization": arguments.get("normalization"), "output_stride": stride}


# Forms that this project's own training leaves; weights that others published have another.
_TRAINED_HERE = ("mosaic", "saved_model")


def _recipe(key: str | None) -> dict:
    """The configured values of the gin parameters that a published recipe names."""
    names = results.result(key).get("recipe", {}) if key else {}
    return {name: config.value(name) for name in names}


def _check_answers(path: str, predictor, dataset, evaluation: Evaluation) -> None:
    """Checks that what segments knows the classes that it is scored on, as far as it tells."""
    said = tflite_metadata.read(path).classes if predictor.form == "tflite" else None
    names = said.class_names if said else ()
    count = predictor.num_classes or len(names)
    expected = len(evaluation.class_map or dataset.class_names)
    if count not in (0, expected):
        raise UserError(
            f"{path} has {count} classes, but {expected} are expected "
            + ("by Evaluation.class_map" if evaluation.class_map else f"by {dataset.name}")
            + "; it needs an Evaluation.class_map of its own (see configs/ade20k_on_camvid.gin)"
        )
    if evaluation.class_map:
        return
    for one, other in zip(names, dataset.class_names):
        if one != other:
            line = f"warning: {path} calls {one!r} what is {other!r} in {dataset.name}"
            print(line, file=sys.stderr)
            return


def score(
    path: str,
    output_dir: str,
    split: str | None = None,
    normalization: str | None = None,
    as_network: bool = False,
    submission_dir: str | None = None,
) -> dict:
    """Scores under the configured experiment, prints the table, writes the report.

    Args:
      path: as for `load_predictor`.
      output_dir: for report.json and the pictures.
      split: instead of the experiment's own.
      normalization: see `predictors.of_file`.
      as_network: see `load_predictor`.
      submission_dir: see `evaluate`.

    Returns:
      The report.

    Raises:
      UserError: the classes disagree with the data set's, or it cannot be loaded.
    """
    evaluation: Evaluation = config.build("train.evaluation")
    if split:
        evaluation = dataclasses.replace(evaluation, split=split)
    dataset = config.build("train.dataset")
    predictor, form = load_predictor(path, normalization, as_network)
    _check_answers(path, predictor, dataset, evaluation)
    network = _network_settings() if predictor.form == "network" else {}
    recipe = _recipe(evaluation.published) if form in _TRAINED_HERE else None
    report = evaluate(
        predictor,
        dataset,
        evaluation,
        path,
        output_dir,
        command(),
        network,
        recipe,
        submission_dir,
    )
    print(table(report))
    print(f"{report['num_images']} images of {dataset.name} {evaluation.split}; see {output_dir}")
    return report
