"""Loading checkpoints into networks: this project's, and by tables of names those of others.

Every format is reduced to one mapping from variable names (`layer/kernel`) to arrays, and assigned
in one place. A variable of the network or of the checkpoint that has no counterpart is an error.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import trackable_object_graph_pb2 as graph_pb2

from mosaic.checkpoints import (
    fit,
    model_garden,
    model_garden_qat,
    research_deeplab,
    tflite_loading,
)
from mosaic.models import quantization_aware
from mosaic.models.classifier import classifier
from mosaic.models.variables import Variables
from mosaic.storage import copies
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils import archives
from mosaic.utils.errors import UserError, check_regular
from mosaic.utils.model_format import other_format

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_STEP = "global_step"
# What TensorFlow raises for a damaged checkpoint: depending on their message, it turns its errors
# into Python's.
DAMAGE = (tf.errors.OpError, RuntimeError, IndexError, ValueError)
# Types that TensorFlow keeps apart from numbers and texts.
_OPAQUE = (tf.variant, tf.resource)
_NOT_WEIGHTS = ("/.OPTIMIZER_SLOT/", "/_generator/")


class Damaged(UserError):
    """A checkpoint whose bytes are not those that were written, or are missing.

    Args:
      path: path of the checkpoint.
      reason: what is wrong with it, one line.
    """

    def __init__(self, path: str, reason: str):
        super().__init__(
            f"{path}: the checkpoint cannot be read ({reason}); take an intact copy, or name "
            "another checkpoint"
        )
        self.reason = reason


@contextlib.contextmanager
def located(path: str) -> Iterator[str]:
    """Yields the file prefix of a checkpoint given as folder, prefix, index file or archive."""
    with copies.at_hand(path.rstrip("/")) as here, _located(here) as prefix:
        for file in (f"{prefix}.index", *glob.glob(f"{glob.escape(prefix)}.data-*")):
            check_regular(file)
        yield prefix


@contextlib.contextmanager
def _located(path: str) -> Iterator[str]:
    if archives.is_archive(path):
        with archives.unpacked(path) as folder:
            yield _prefix_in(folder, path)
    elif os.path.isdir(path):
        yield _prefix_in(path, path)
    else:
        prefix = re.sub(r"\.(index|data-\d+-of-\d+)$", "", path)
        if not os.path.exists(f"{prefix}.index"):
            what = other_format(path) or "no checkpoint here; give a folder or a file prefix"
            raise UserError(f"{path}: {what}")
        yield prefix


def _prefix_in(folder: str, path: str) -> str:
    """Finds the only checkpoint below a folder, or the uppermost that a state file names."""
    found = sorted(
        os.path.join(root, name).removesuffix(".index")
        for root, _, names in os.walk(folder)
        for name in names
        if archives.is_index(os.path.join(root, name))
    )
    named = [prefix for prefix in found if prefix == _latest(os.path.dirname(prefix))]
    uppermost = min((prefix.count(os.sep) for prefix in named), default=0)
    for choice in (found, [prefix for prefix in named if prefix.count(os.sep) == uppermost]):
        if len(choice) == 1:
            return choice[0]
    what = f"{len(found)} checkpoints, and no single one named as latest"
    if not found and archives.is_saved_model(os.listdir(folder)):
        raise UserError(f"{path}: a SavedModel, which only runs as it is; give a checkpoint")
    what = what if found else "no checkpoint"
    raise UserError(f"{path}: {what} in it; give the file prefix of one (without .index)")


def state(folder: str):
    """Returns the content of a folder's state file (TensorFlow's `CheckpointState`).

    It is None where the file is missing, empty or damaged.

    Raises:
      UserError: the file is a pipe or a device.
    """
    check_regular(os.path.join(folder, "checkpoint"))
    try:
        return tf.train.get_checkpoint_state(folder)
    except ValueError:  # The file names no checkpoint, or is not text.
        return None


def _latest(folder: str) -> str | None:
    """The prefix that a folder's state file names, even if the folder was moved since."""
    said = state(folder)
    return said and os.path.join(folder, os.path.basename(said.model_checkpoint_path))


def read(path: str) -> Variables:
    """Reads a checkpoint of this project, of the Model Garden or of research/deeplab.

    All of it is read once, the optimizer's state too, and compared with its checksums: what is
    damaged is told before anything is made of it.

    Args:
      path: path of a folder (its latest checkpoint is read), a file prefix, an index file, or an
        archive as published.

    Raises:
      Damaged: its bytes are not those that were written.
      UserError: there is no checkpoint, or its format is unknown.
    """
    with located(path) as prefix:
        try:
            reader = tf.train.load_checkpoint(prefix)
            keys = set(reader.get_variable_to_shape_map())
            steps = [key for key in (_STEP + _VALUE, _STEP) if key in keys]
            step = reader.get_tensor(steps[0]) if steps else None
            format_, names = _names(reader, keys)
            if not names:
                roots = ", ".join(sorted({key.split("/")[0] for key in keys} - {_GRAPH}))
                raise UserError(
                    f"{path}: no checkpoint of this project, nor of segmentation networks and "
                    "backbones of the Model Garden or of research/deeplab (its roots are "
                    f"{roots})"
                )
            arrays = {name: reader.get_tensor(key) for name, key in names.items()}
            _check_rest(reader, keys - set(names.values()))
        except UserError:
            raise
        except (*DAMAGE, DecodeError) as error:
            raise Damaged(path, _reason(error, prefix)) from None
    return Variables(path, format_, None if step is None else int(step), arrays)


def _names(reader, keys: Collection[str]) -> tuple[str, dict[str, str]]:
    """The format of a checkpoint, and its keys by the names of its network's variables."""
    if _GRAPH not in keys:
        return "research", research_deeplab.variables(keys)
    graph = graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor(_GRAPH))
    names = model_garden.variables(graph)
    if not names:
        return "mosaic", _mosaic_names(graph)
    if model_garden_qat.has_rounding(names):
        return "garden_qat", model_garden_qat.plain(names)
    return "garden", names


def _check_rest(reader, keys: Iterable[str]) -> None:
    """Reads tensors that nothing is made of: TensorFlow compares each with its checksum."""
    types = reader.get_variable_to_dtype_map()
    for key in keys:
        if types[key] not in _OPAQUE:
            reader.get_tensor(key)


def _reason(error: Exception, prefix: str) -> str:
    """What is wrong with a damaged checkpoint, without the places in TensorFlow's source."""
    text = (str(error).splitlines() or [""])[0]
    if "checksum" in text.lower():
        file = "index" if f"{prefix}.index" in text or "block checksum" in text else "data"
        return f"bytes of its {file} file have changed: a checksum is wrong"
    return re.sub(r" *\[.*", "", text) or type(error).__name__


def _mosaic_names(graph) -> dict[str, str]:
    """Keys of the variables in this project's format, by name; the object graph has the names."""
    return {
        attribute.full_name: attribute.checkpoint_key
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.checkpoint_key.startswith("model/")
        and not any(part in attribute.checkpoint_key for part in _NOT_WEIGHTS)
    }


def brings_ranges(path: str, network: tf_keras.Model) -> bool:
    """Whether a checkpoint has learnt ranges for a float network: the Garden's, of its classes."""
    if path.endswith(".tflite") or (checkpoint := read(path)).format != "garden_qat":
        return False
    return not fit.pairs(network, checkpoint, ("",), classifier(network))[1]


def load(
    model: tf_keras.Model,
    path: str | TFLiteModel,
    prefixes: tuple[str, ...] = ("",),
    images: Iterable[np.ndarray] | None = None,
) -> Variables:
    """Loads a checkpoint, or a TFLite file, into a network, completely or not at all.

    Args:
      model: network of this project.
      path: path of a checkpoint as for `read`, or a TFLite file (`mosaic.tflite.weights`), by its
        path or opened.
      prefixes: beginnings of the names of the variables to load; `("backbone_",)` loads the
        backbone alone and leaves the rest as it is.
      images: uint8 [height, width, 3] each, to measure batch norm's statistics on for a TFLite
        file, which has none.

    Returns:
      The variables that were read.

    Raises:
      UserError: variables of the network or of the checkpoint have no counterpart or differ in
        shape; the first are listed and none is assigned.
    """
    if isinstance(path, TFLiteModel) or path.endswith(".tflite"):
        return tflite_loading.load(model, path, prefixes, images)[0]
    return _load_checkpoint(model, path, prefixes, ())[0]


def start_from(
    model: tf_keras.Model,
    path: str,
    prefixes: tuple[str, ...] = ("",),
    images: Iterable[np.ndarray] | None = None,
) -> tuple[Variables, frozenset[str]]:
    """Loads as `load` does, for training: a classifier of other classes stays as it is.

    It is left out where the checkpoint's has another number of classes, or none, which is told in
    one line; all else must fit.

    Returns:
      (the variables that were read, names of the layers that were left out).

    Raises:
      UserError: as for `load`.
    """
    layers = classifier(model)
    if path.endswith(".tflite"):
        found, left_out = tflite_loading.load(model, path, prefixes, images, layers)
    else:
        found, left_out = _load_checkpoint(model, path, prefixes, layers)
    if left_out:
        names = ", ".join(sorted(name for name in left_out if not name.endswith("_bn")))
        print(
            f"{path}: its classifier is of other classes and is left out; {names} of this network "
            "learns anew",
            file=sys.stderr,
        )
    return found, left_out


def _load_checkpoint(
    model: tf_keras.Model, path: str, prefixes: tuple[str, ...], optional: Collection[str]
) -> tuple[Variables, frozenset[str]]:
    """Loads all of a checkpoint, but for optional layers that do not fit (`fit.pairs`)."""
    checkpoint = read(path)
    if "" in prefixes:
        _check_kind(model, checkpoint)
    values = checkpoint
    if quantization_aware.is_quantized(model) and checkpoint.format == "garden_qat":
        values = model_garden_qat.with_rounded_depthwise(checkpoint)
    pairs, left_out = fit.pairs(model, values, prefixes, optional)
    for variable, array in pairs:
        variable.assign(array)
    return checkpoint, left_out


def check_fit(model: tf_keras.Model, checkpoint: Variables) -> None:
    """Checks that a checkpoint is of a network, without loading it.

    Raises:
      UserError: as for `load`.
    """
    _check_kind(model, checkpoint)
    fit.pairs(model, checkpoint, ("",))


def _check_kind(model: tf_keras.Model, checkpoint: Variables) -> None:
    """As `quantization_aware.check_kind`; the Garden's also loads into a float network."""
    if checkpoint.format != "garden_qat":
        quantization_aware.check_kind(model, checkpoint.path, checkpoint.arrays)
    elif not quantization_aware.is_quantized(model):
        model_garden_qat.tell_left_out(checkpoint.path)
