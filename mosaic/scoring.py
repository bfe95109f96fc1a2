"""From an experiment and a checkpoint, or an exported file, to a report."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import sys

import gin
import tensorflow as tf

from mosaic import checkpoints, classes, config, predictors, tflite_file, tflite_metadata
from mosaic import published as results
from mosaic.errors import UserError
from mosaic.evaluation import Evaluation, evaluate, table
from mosaic.forms import form_of
from mosaic.letterbox import letterbox
from mosaic.provenance import command
from mosaic.trainer import BEST_FOLDER


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
    _tell_other_settings(checkpoint)
    return model, dataset, config.build("train.evaluation"), loaded


# Settings of a network that training alone depends on, and one that may differ on purpose.
_NOT_COMPARED = ("dropout", "weight_decay", "norm_momentum", "synchronized_norm", "output_stride")


def _tell_other_settings(path: str) -> None:
    """Warns where a run's network had settings that this one has not, and no variable shows it."""
    folder = path if os.path.isdir(path) else os.path.dirname(os.path.abspath(path))
    places = (os.path.join(p, config.SAVED) for p in (folder, os.path.dirname(folder)))
    saved = next(filter(os.path.isfile, places), None)
    if saved is None or os.path.isfile(path):
        return
    selector = gin.query_parameter(config.network()).selector.rpartition(".")[2]
    before = config.literals(saved, selector)
    for name, here in config.arguments(config.network()).items():
        if name in before and name not in _NOT_COMPARED and _list(before[name]) != _list(here):
            print(
                f"warning: {path} was trained with {selector}.{name} = {before[name]}, and is "
                f"loaded with {here}",
                file=sys.stderr,
            )


def _list(value):
    return list(value) if isinstance(value, list | tuple) else value


def load_predictor(path: str, normalization: str | None = None, as_network: bool = False):
    """Loads whatever segments: a file as it is, a checkpoint into the experiment's network.

    Args:
      path: a SavedModel folder, a .tflite file, or a checkpoint as for `checkpoints.read`.
      normalization: see `predictors.of_file`.
      as_network: load a .tflite file's weights into the experiment's network.

    Returns:
      (predictor, what was loaded into the experiment's network (`checkpoints.Variables`), or None
      for a file as it is).

    Raises:
      UserError: it cannot be loaded.
    """
    if as_network or form_of(path) == "network":
        model = config.build("train.model")
        loaded = checkpoints.load(model, path)
        _tell_other_settings(path)
        return predictors.of_network(model), loaded
    return predictors.of_file(path, normalization), None


def as_configured(
    predictor: predictors.Predictor,
) -> tuple[predictors.Predictor, tuple[int, int] | None]:
    """Gives a network images of the size at which the experiment scores it.

    Returns:
      (predictor, the `input_size` to call it with, or None).
    """
    evaluation: Evaluation = config.build("train.evaluation")
    if evaluation.padded_size:
        return letterbox(predictor, evaluation.padded_size, evaluation.padding), None
    return predictor, evaluation.input_size and tuple(evaluation.input_size)


def _network_settings(path: str, predictor: predictors.Predictor) -> dict:
    """Settings of what segments, by the names in published.json, as far as it tells them."""
    numbers = tflite_file.numbers(path) if predictor.form == "tflite" else "float32"
    if predictor.form != "network":
        return {"numbers": numbers, "normalization": predictor.normalization or results.INSIDE}
    arguments = config.arguments(config.network())
    return {
        "numbers": numbers,
        "normalization": arguments.get("normalization"),
        "output_stride": arguments.get("output_stride", 16),  # MOSAIC has no other
    }


def _is_trained_here(path: str, loaded: checkpoints.Variables | None) -> bool:
    """Whether this project's training left the weights; those that others published have no recipe.

    Files that this project wrote count, whatever they were made of.
    """
    form = form_of(path)
    if form == "tflite":
        return tflite_metadata.read(path).is_own
    if form == "saved_model":
        return os.path.isfile(os.path.join(path, "assets.extra", classes.FILE))
    return loaded.form == "mosaic" or _has_classes(path)


def _has_classes(path: str) -> bool:
    """Whether a checkpoint's folder names the classes, as those that this project writes do."""
    if os.path.isfile(path):
        return False  # an archive: what lies with it tells nothing
    folder = path if os.path.isdir(path) else os.path.dirname(os.path.abspath(path))
    return os.path.isfile(os.path.join(folder, classes.FILE))


def steps_of(path: str, loaded: checkpoints.Variables | None = None) -> int | None:
    """Returns how many steps of this project's training are behind a model, or None if unknown.

    A run's best checkpoint and its SavedModel were chosen from all of the run, and count as its
    latest checkpoint; others stand for themselves.

    Args:
      path: as for `load_predictor`.
      loaded: what was read from there, if it is a checkpoint.
    """
    if form_of(path) == "tflite":
        return tflite_metadata.read(path).steps
    if loaded and loaded.form != "mosaic":
        # Step 0 stands for an unknown one.
        return (loaded.step or None) if _has_classes(path) else None
    found = [loaded.step] if loaded else []
    place = pathlib.Path(os.path.abspath(path))
    for folder in (place, place.parent):
        if folder.name in (BEST_FOLDER, "saved_model"):
            latest = tf.train.latest_checkpoint(str(folder.parent)) or ""
            found += map(int, re.findall(r"/ckpt-(\d+)$", latest))
    return max((steps for steps in found if steps is not None), default=None)


def _recipe(key: str | None, steps: int | None) -> dict:
    """The configured values of the gin parameters that a published recipe names.

    Of `train.steps` it is those that were done; left out where nobody knows.
    """
    names = results.result(key).get("recipe", {}) if key else {}
    recipe = {name: config.spoken(name) for name in names if name != "train.steps"}
    return recipe if steps is None else {**recipe, "train.steps": steps}


def _check_answers(path: str, predictor, dataset, evaluation: Evaluation) -> None:
    """Checks that what segments knows the classes that it is scored on, as far as it tells."""
    if predictor.form == "tflite":
        said = tflite_metadata.read(path).classes
    else:
        # What lies beside an archive tells nothing of what is in it.
        said = None if os.path.isfile(path) else classes.find(path)
    names = said.class_names if said else ()
    count = predictor.num_classes or (len(names) if predictor.form == "tflite" else 0)
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
    predictor, loaded = load_predictor(path, normalization, as_network)
    _check_answers(path, predictor, dataset, evaluation)
    recipe = None
    if _is_trained_here(path, loaded):
        recipe = _recipe(evaluation.published, steps_of(path, loaded))
    report = evaluate(
        predictor,
        dataset,
        evaluation,
        path,
        output_dir,
        command(),
        {"as_network": as_network, **_network_settings(path, predictor)},
        recipe,
        submission_dir,
    )
    print(table(report))
    print(f"{report['num_images']} images of {dataset.name} {evaluation.split}; see {output_dir}")
    return report
