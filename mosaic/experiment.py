"""Builds what an experiment configures: its network, its data set, and its predictor."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Collection, Sequence
from typing import Any

import gin
import tensorflow as tf
import tf_keras

from mosaic import config
from mosaic.checkpoints import asked_settings, loading
from mosaic.checkpoints.run_folder import saved_configuration
from mosaic.inference import file_predictors, model_classes, predictors
from mosaic.inference.letterbox import letterbox
from mosaic.inference.photographs import Photographs
from mosaic.models.variables import Variables
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import UserError
from mosaic.utils.memory import check_size
from mosaic.utils.model_format import format_of
from mosaic.utils.segmentation_dataset import SegmentationDataset


def check_classes(model: tf_keras.Model, dataset: SegmentationDataset) -> None:
    """Checks that a network has a logit for each class of a data set.

    Raises:
      UserError: their numbers of classes differ.
    """
    if model.output_shape[-1] != dataset.num_classes:
        raise UserError(
            f"the network has {model.output_shape[-1]} logits and {dataset.name} has "
            f"{dataset.num_classes} classes; set NUM_CLASSES = {dataset.num_classes}"
        )


def load_experiment(
    checkpoint: str | TFLiteModel,
) -> tuple[tf_keras.Model, SegmentationDataset, Any, Variables]:
    """Builds the parts of the experiment for working on a trained network.

    Returns:
      (model, dataset, evaluation, variables): the first three as for `train`, the model with the
      checkpoint's weights, and the variables of the checkpoint.

    Raises:
      UserError: the checkpoint does not fit, or network and data set disagree on the classes.
    """
    dataset = config.build("train.dataset")
    model = _network(checkpoint)
    check_classes(model, dataset)
    return model, dataset, config.build("train.evaluation"), _load(model, checkpoint)


def load_with_photographs(
    checkpoint: str | TFLiteModel,
    paths: Sequence[str],
    classes: Classes | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[tf_keras.Model, Photographs, Any, Variables]:
    """Builds the parts of the experiment with users' own images in the place of its data set.

    Args:
      checkpoint: checkpoint, as for `load_experiment`.
      paths: paths of images, folders and videos.
      classes: names and colours of the network's classes; None for those that the checkpoint names,
        or else numbers.
      size: (height, width) that images are resized to; None for that at which the experiment scores
        images, or else trains.

    Returns:
      As `load_experiment`.

    Raises:
      UserError: as `load_experiment`; or the size is not known, or `classes` are not the network's.
    """
    model = _network(checkpoint)
    evaluation = config.build("train.evaluation")
    size = size or evaluation.padded_size or evaluation.input_size
    size = size or config.value("Augment.crop_size")
    if size in (None, gin.REQUIRED):
        raise UserError("the size of the network's input is not known; give --size=HEIGHTxWIDTH")
    check_size(f"images of {'x'.join(map(str, size))}", size)
    count = model.output_shape[-1]
    classes = classes or model_classes.find(checkpoint) or Classes.numbered(count)
    if len(classes.class_names) != count:
        raise UserError(
            f"the network has {count} classes, and the label map {len(classes.class_names)}; give "
            "the network's own with --label_map"
        )
    loaded = _load(model, checkpoint)
    evaluation = dataclasses.replace(evaluation, split="val", padded_size=None)
    return model, Photographs(paths, classes, tuple(size)), evaluation, loaded


def _network(checkpoint: str | TFLiteModel) -> tf_keras.Model:
    """The configured network, with the settings that a checkpoint asks for."""
    asked_settings.take(checkpoint)
    return config.build("train.model")


def _load(model: tf_keras.Model, checkpoint: str | TFLiteModel) -> Variables:
    loaded = loading.load(model, checkpoint)
    _tell_other_settings(checkpoint)
    return loaded


# Settings of a network that only matter in training, and one that may differ on purpose.
_NOT_COMPARED = ("dropout", "weight_decay", "norm_momentum", "synchronized_norm", "output_stride")


def _tell_other_settings(path: str) -> None:
    """Warns where a run's network had other settings than this one and no variable shows it."""
    saved = saved_configuration(path)
    if saved is None:
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


def load_predictor(
    path: str | TFLiteModel,
    normalization: str | None = None,
    as_network: bool = False,
    allow_code: bool = False,
    devices: Sequence[str] = (),
) -> tuple[predictors.Predictor, Variables | None]:
    """Loads a predictor: an exported file as it is, or a checkpoint into the experiment's network.

    Args:
      path: path of a SavedModel folder, of a .tflite file or of a checkpoint as for
        `checkpoints.loading.read`, or an opened TFLite file.
      normalization: normalisation of a file's input, see `file_predictors.of_file`.
      as_network: whether a .tflite file's weights are loaded into the experiment's network.
      allow_code: whether a SavedModel may use files and run code, see `file_predictors.of_file`.
      devices: names of devices, on each of which a network gets a copy; a file has none.

    Returns:
      (predictor, variables that were loaded into the experiment's network, or None for a file as it
      is).

    Raises:
      UserError: it cannot be loaded.
    """
    is_file = isinstance(path, TFLiteModel)
    if as_network or (not is_file and format_of(path) == "network"):
        model = _network(path)
        loaded = loading.load(model, path)
        _tell_other_settings(path)
        predictor = predictors.of_network(model)
        predictor.copies = tuple((device, _copy_on(device, model)) for device in devices)
        return predictor, loaded
    return file_predictors.of_file(path, normalization, allow_code), None


def _copy_on(device: str, model: tf_keras.Model) -> predictors.Predictor:
    """A predictor whose weights, those of a network of the experiment, are on a device."""
    with tf.device(device):
        copy = config.build("train.model")
        copy.set_weights(model.get_weights())
        return predictors.of_network(copy)


def as_configured(
    predictor: predictors.Predictor,
) -> tuple[predictors.Predictor, tuple[int, int] | None]:
    """Gives a network images of the size at which the experiment scores it.

    Returns:
      (predictor, `input_size` to call it with, or None).

    Raises:
      UserError: that size asks for more memory than there is.
    """
    evaluation = config.build("train.evaluation")
    for name in ("padded_size", "input_size"):
        if size := getattr(evaluation, name):
            check_size(f"Evaluation.{name} = {tuple(size)}", size)
    if evaluation.padded_size:
        return letterbox(
            predictor, evaluation.padded_size, evaluation.padding, evaluation.enlarged
        ), None
    return predictor, evaluation.input_size and tuple(evaluation.input_size)


def configured_dataset(names: Collection[str]) -> tuple[str, dict]:
    """Returns the name of `train.dataset`'s class, and those of its arguments in `names`."""
    selector = gin.query_parameter("train.dataset").selector
    arguments = config.arguments("train.dataset")
    return selector.rpartition(".")[2], {k: v for k, v in arguments.items() if k in names}
