"""Trainable networks from TFLite files as published.

The file's graph and the network's are compared node by node from the input on, and each layer of
the network gets the weights of the convolution that does the same to the same inputs. Weights are
dequantized. Batch norm, which such files have folded into the convolutions, is unfolded: scale and
offset are set so that inference stays the same for any moving averages. If there are images, the
moving averages become the statistics of each layer's inputs, so that training mode computes the
same as inference.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.models import batch_norm
from mosaic.models.variables import Variables, variable_name
from mosaic.tflite import graph_from_file, graph_from_keras, graph_matching
from mosaic.tflite.graph import Affine, Node, Weights
from mosaic.tflite.graph_matching import Pairs
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError

# How far a file's input may differ from the network's, as a fraction of its range. Converters round
# x / 127.5 - 1 to (x - 128) / 128 and the like; another normalisation differs by far more.
_INPUT_TOLERANCE = 0.1

# How far two rounded values of one number may be apart, as a fraction of the sum of their
# quantization steps: half, and what float32 adds.
_ROUNDING = 0.51


def load(
    model: tf_keras.Model,
    file: TFLiteModel,
    images: Iterable[np.ndarray] | None = None,
    prefixes: tuple[str, ...] = ("",),
) -> Variables:
    """Loads a TFLite file into a network, completely or not at all.

    Args:
      model: network of this project.
      file: float32, float16, dynamic range, uint8 or int8 file.
      images: uint8 [height, width, 3] each, as in training, to measure batch norm's moving averages
        on: some dozens at the training size. Without them the averages are 0 and 1: inference is
        the same, but training mode, which normalises with batch statistics, gives useless
        predictions until it has relearned.
      prefixes: beginnings of the names of the layers to load; the rest may differ and stays as it
        is. `("backbone_", "aspp")` takes DeepLab without its classifier.

    Returns:
      The variables as read, before `images` changed batch norm.

    Raises:
      UserError: the file is damaged; or it differs from the network (the message names the first
        layer that does, and nothing is assigned); or `images` is empty; or a prefix names no layer.
    """
    variables = read(model, file, prefixes)
    if images is not None:
        images = list(images)
        if not images:
            raise UserError(f"{file}: no images to measure batch norm's statistics on")
    for variable in model.variables:
        array = variables.arrays.get(variable_name(variable))
        if array is not None:
            variable.assign(array)
    if images is not None:
        batch_norm.calibrate(model, images)
    return variables


def read(model: tf_keras.Model, file: TFLiteModel, prefixes: tuple[str, ...] = ("",)) -> Variables:
    """Reads a TFLite file as values for a network's variables.

    Args:
      model: network that gives the names and shapes; its values are neither used nor changed.
      file: TFLite file, as for `load`.
      prefixes: beginnings of the names of the layers to read, as for `load`.

    Returns:
      Values for all weights of those layers; batch norm has mean 0, variance 1 and a scale that
      cancels them.

    Raises:
      UserError: as for `load`.
    """
    path = file.path
    for prefix in prefixes:
        if not any(layer.name.startswith(prefix) for layer in model.layers):
            raise UserError(f"{path}: no layer of the network begins with {prefix!r}")
    network = graph_from_keras.of_model(model)
    pairs = graph_matching.paired(network, graph_from_file.read(file), path, prefixes)
    _check_input(pairs, path)
    _tell_cut(pairs, path)
    uses: dict[graph_from_keras.Layers, tuple[Node, list[Node]]] = {}
    for node, matches in pairs.items():
        if graph_matching.is_wanted(node, prefixes):
            uses.setdefault(node.content, (node, []))[1].extend(matches)
    arrays = {
        variable_name(variable): array.astype(np.float32)
        for node, matches in uses.values()
        for variable, array in _values(node, _common(node, matches, path), path)
    }
    return Variables(path, "tflite", None, arrays)


def _check_input(pairs: Pairs, path: str) -> None:
    """Refuses a file that normalises its input otherwise than the network."""
    inputs = ((node, other) for node in pairs if node.kind == "input" for other in pairs[node])
    for node, other in inputs:
        mine, theirs = _ends(node.content), _ends(other.content)
        if not other.content.known:
            print(
                f"{path}: the file does not say how its input is normalised; taken to be the "
                f"network's `normalization`, pixels 0..255 to {_interval(mine)}",
                file=sys.stderr,
            )
            continue
        if _is_in_pixels(other):
            continue
        if np.max(np.abs(mine - theirs)) > _INPUT_TOLERANCE * np.max(mine[1] - mine[0]):
            raise UserError(
                f"{path}: the file maps pixels 0..255 to {_interval(theirs)} and the network to "
                f"{_interval(mine)}; set the network's `normalization`"
            )


def _tell_cut(pairs: Pairs, path: str) -> None:
    """Says where an 8-bit file's range cuts image-level features, of which few are measured.

    Other ranges are wide enough for almost all values (`deeplab.pooling_limit`).
    """
    for node, matches in pairs.items():
        limits = {other.limit for other in matches if node.name == "aspp_pooling_conv"} - {None}
        if limits and not np.isclose(max(limits), node.limit or np.inf, rtol=0.01):
            print(
                f"{path}: the file's 8-bit range cuts image-level features at {max(limits):.4g}; "
                f"this network does so with `deeplab.pooling_limit = {max(limits):.4g}`",
                file=sys.stderr,
            )


def _ends(affine: Affine) -> np.ndarray:
    """The network's inputs for black and for white, [2, 3]."""
    return np.array([np.broadcast_to(affine.scale * x + affine.offset, 3) for x in (0.0, 255.0)])


def _is_in_pixels(node: Node) -> bool:
    """Whether a file's convolutions take pixels as they are, normalisation inside the first."""
    return node.kind == "input" and node.content.known and np.allclose(node.content.scale, 1.0)


def _normalized(weights: Weights, network: Affine, file: Affine) -> Weights:
    """The weights of a first convolution for the network's normalisation of its input."""
    kernel, bias = weights.kernel, weights.bias
    # The file's input computed from the network's: factor * x + shift, per channel.
    factor = np.broadcast_to(file.scale / network.scale, 3)
    shift = np.broadcast_to(file.offset - factor * network.offset, 3)
    return weights._replace(
        kernel=kernel * factor[:, np.newaxis], bias=bias + np.einsum("hwio,i->o", kernel, shift)
    )


def _interval(ends: np.ndarray) -> str:
    return f"{ends[0].min():.3g}..{ends[1].max():.3g}"


def _common(node: Node, uses: list[Node], path: str) -> Node:
    """Merges a file's uses of one layer into one node; their weights may differ by rounding.

    The quantization step of a bias depends on the input of its use, so that each use rounds it
    differently; of each weight the value with the smallest step is taken.
    """
    first, *rest = uses
    weights = first.content
    for use in rest:
        values, steps = [], []
        for one, other, step_one, step_other in zip(
            weights[:2], use.content[:2], weights[2:], use.content[2:]
        ):
            if not np.all(np.abs(one - other) <= _ROUNDING * (step_one + step_other)):
                raise UserError(
                    f"{path}: the file has several sets of weights for {node.name!r} (in "
                    f"{first.name!r} and in {use.name!r}), where the network has one for all of "
                    "its uses"
                )
            values.append(np.where(step_other < step_one, other, one))
            steps.append(np.minimum(step_one, step_other))
        weights = Weights(*values, *steps)
    return dataclasses.replace(first, content=weights)


def _values(node: Node, other: Node, path: str) -> list[tuple[tf.Variable, np.ndarray]]:
    """The variables of a convolution and its batch norm, each with its value from the file."""
    layer, norm = node.content
    kernel, bias = other.content.kernel, other.content.bias
    source = other.inputs[0]
    if _is_in_pixels(source):
        kernel, bias, *_ = _normalized(other.content, node.inputs[0].content, source.content)
    depthwise = node.kind == "depthwise"
    values = [(layer.depthwise_kernel if depthwise else layer.kernel, kernel)]
    if norm is not None:
        one = np.ones_like(bias)
        # The layer's own bias, if it has one, is redundant before batch norm.
        if layer.use_bias:
            values.append((layer.bias, np.zeros_like(bias)))
        values += [
            (norm.gamma, one * np.sqrt(1.0 + norm.epsilon)),
            (norm.beta, bias),
            (norm.moving_mean, np.zeros_like(bias)),
            (norm.moving_variance, one),
        ]
    elif layer.use_bias:
        values.append((layer.bias, bias))
    elif np.any(bias):
        raise UserError(
            f"{path}: {other} has a bias, which {node.name!r} has not, nor batch norm to hold it"
        )
    return values
