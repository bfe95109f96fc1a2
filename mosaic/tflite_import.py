"""Trainable networks from TFLite files as published.

The file's graph and the network's are compared step by step from the input on, and each of the
network's layers gets the weights of the convolution that computes the same from the same. Weights
are dequantized; batch norm, which such files have folded into the convolutions, is unfolded: scale
and offset are set so that inference stays as it was, for any moving averages, and with images at
hand the moving averages become the statistics of what each layer sees, so that training mode
starts where inference is.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic import graphs, model_graph, tflite_graph
from mosaic.checkpoints import Variables, variable_name
from mosaic.errors import UserError
from mosaic.graphs import Affine, Node, Weights

# Share of its range by which the files' input may differ from the network's. Converters round
# x / 127.5 - 1 to (x - 128) / 128 and the like; another normalisation is off by far more.
_INPUT_TOLERANCE = 0.1

# By how much of their common step two rounded values of one number may differ: half, and what
# float32 adds.
_ROUNDING = 0.51

# Each step of the network with the file's steps that do the same: several, where the file repeats
# what the network computes once.
Pairs = dict[Node, list[Node]]


def load(
    model: tf_keras.Model,
    path: str,
    images: Iterable[np.ndarray] | None = None,
    prefixes: tuple[str, ...] = ("",),
) -> Variables:
    """Loads a TFLite file into a network, completely or not at all.

    Args:
      model: a network of this project.
      path: of a float32, float16, dynamic range, uint8 or int8 file.
      images: uint8 [height, width, 3] each, as in training, to measure batch norm's moving
        averages on: some dozens at the training size. Without them the averages are 0 and 1:
        inference is the same, but training mode normalises with batch statistics, which are not,
        and answers nonsense until it has relearned.
      prefixes: which of the network's layers to load, by the start of their names; the rest may
        differ and stays as it is. `("backbone_", "aspp")` takes DeepLab without its classifier.

    Returns:
      What was read, before images changed how batch norm expresses it.

    Raises:
      UserError: the file cannot be read, or differs from the network: the first layer that does
        is named and nothing is assigned; or `images` has none, or a prefix names no layer.
    """
    variables = read(model, path, prefixes)
    if images is not None:
        images = list(images)
        if not images:
            raise UserError(f"{path}: no images to measure batch norm's statistics on")
    for variable in model.variables:
        array = variables.arrays.get(variable_name(variable))
        if array is not None:
            variable.assign(array)
    if images is not None:
        calibrate(model, images)
    return variables


def read(model: tf_keras.Model, path: str, prefixes: tuple[str, ...] = ("",)) -> Variables:
    """Reads a TFLite file as values for a network's variables.

    Args:
      model: gives the names and shapes; its values are neither used nor changed.
      path: as for `load`.
      prefixes: as for `load`.

    Returns:
      Values for all weights that `prefixes` name; batch norm has mean 0, variance 1 and a scale
      that cancels them.

    Raises:
      UserError: as for `load`.
    """
    for prefix in prefixes:
        if not any(layer.name.startswith(prefix) for layer in model.layers):
            raise UserError(f"{path}: no layer of the network begins with {prefix!r}")
    network = model_graph.of_model(model)
    pairs = _paired(network, tflite_graph.read(path), path, prefixes)
    _check_input(pairs, path)
    uses: dict[model_graph.Layers, tuple[Node, list[Node]]] = {}
    for step, matches in pairs.items():
        if _is_wanted(step, prefixes):
            uses.setdefault(step.content, (step, []))[1].extend(matches)
    arrays = {
        variable_name(variable): array.astype(np.float32)
        for step, matches in uses.values()
        for variable, array in _values(step, _common(step, matches, path), path)
    }
    return Variables(path, "tflite", None, arrays)


def calibrate(model: tf_keras.Model, images: Iterable[np.ndarray]) -> None:
    """Sets batch norm's moving averages to statistics of images, inference unchanged.

    What every batch norm sees in inference is measured in one pass, since no layer's output
    changes. Its scale and offset are set to give the same function of the input as before.

    Args:
      model: a functional model of plain layers.
      images: uint8 or float [height, width, 3] in 0..255; each counts by its pixels.

    Raises:
      UserError: there are no images, or they lead to values that are not finite.
    """
    norm = tf_keras.layers.BatchNormalization
    norms = [layer for layer in model.layers if isinstance(layer, norm)]
    statistics = _statistics(model, norms, images)
    for layer, (mean, variance) in zip(norms, statistics):
        gamma, beta, old_mean, old_variance = (w.astype(np.float64) for w in layer.get_weights())
        factor = gamma / np.sqrt(old_variance + layer.epsilon)
        gamma = factor * np.sqrt(variance + layer.epsilon)
        layer.set_weights([gamma, beta + factor * (mean - old_mean), mean, variance])


def _statistics(
    model: tf_keras.Model, norms: list, images: Iterable[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and variance, [channels] each, of every layer's input over all its uses and images."""
    uses = [(k, node) for k, layer in enumerate(norms) for node in range(len(layer.inbound_nodes))]
    inputs = tf_keras.Model(model.inputs, [norms[k].get_input_at(node) for k, node in uses])

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)])
    def moments(pixels):
        """Channel sums, sums of squared deviations and counts, so that maps are soon freed."""
        results = []
        for x in tf.nest.flatten(inputs(pixels, training=False)):
            mean, variance = tf.nn.moments(x, [0, 1, 2])
            results.append((mean, variance, tf.size(x) / tf.shape(x)[-1]))
        return results

    totals = [[np.float64(0), np.float64(0), np.float64(0)] for _ in norms]
    for image in images:
        results = moments(tf.constant(np.asarray(image, np.float32)[np.newaxis]))
        for (k, _), result in zip(uses, results):
            _merge(totals[k], *(np.asarray(value, np.float64) for value in result))
    if any(count == 0 for _, _, count in totals):
        raise UserError("batch norm's statistics need at least one image")
    if not all(np.all(np.isfinite(mean + variance)) for mean, variance, _ in totals):
        raise UserError("batch norm's statistics on these images are not finite")
    return [(mean, variance) for mean, variance, _ in totals]


def _merge(total: list, mean: np.ndarray, variance: np.ndarray, count: np.ndarray) -> None:
    """Adds one image's statistics to a total (Chan et al., 1979: no sums of large squares)."""
    old_mean, old_variance, old_count = total
    whole = old_count + count
    share = count / whole
    shift = mean - old_mean
    total[0] = old_mean + share * shift
    total[1] = (1 - share) * old_variance + share * variance + share * (1 - share) * shift**2
    total[2] = whole


def _is_wanted(step: Node, prefixes: tuple[str, ...]) -> bool:
    return isinstance(step.content, model_graph.Layers) and step.name.startswith(prefixes)


def _paired(
    network: Node, outputs: tuple[Node, ...], path: str, prefixes: tuple[str, ...]
) -> Pairs:
    """Finds for each step of the network the file's steps that compute the same.

    Returns:
      All steps, each after its inputs; those that are not wanted may have no pair.

    Raises:
      UserError: naming the first step of the network that the file lacks.
    """
    found = graphs.ancestors(outputs)
    candidates: Pairs = {}
    for step in graphs.ancestors((network,)):
        candidates[step] = [other for other in found if _same(step, other, candidates)]
        if step.kind == "resize" and not candidates[step]:
            # No resize where the sizes are equal already: then its input goes on.
            candidates[step] = _not_resized(candidates[step.inputs[0]], found)
        if not candidates[step] and ("" in prefixes or _is_wanted(step, prefixes)):
            first = next(s for s in graphs.ancestors((step,)) if not candidates[s])
            raise UserError(_difference(first, found, candidates, path))
    if "" not in prefixes:
        return {step: _told_by_name(step, others) for step, others in candidates.items()}
    ends = [output for output in outputs if output in candidates[network]]
    if not ends:
        raise UserError(
            f"{path}: the file does not fit this network, which ends with {network}: the file "
            f"goes on to {outputs[0]}"
        )
    pairs: Pairs = {step: [] for step in candidates}
    _pair(network, ends[0], candidates, pairs)
    return pairs


def _told_by_name(step: Node, others: list[Node]) -> list[Node]:
    """Those of several that look alike which are called as the network calls the step, if any."""
    if len(others) < 2:
        return others
    # A file's tensor can be named after a layer's convolution, its batch norm or its activation.
    layer = step.name.rpartition("_")[0] or step.name
    called = [
        other
        for other in others
        if any(layer in (part, part.rpartition("_")[0]) for part in other.name.split("/"))
    ]
    return called or others


def _same(step: Node, other: Node, candidates: Pairs) -> bool:
    """Whether a node of the file does what `step` does, to inputs that match its inputs."""
    return step.fits(other) and bool(_orders(step, other, candidates))


def _orders(step: Node, other: Node, candidates) -> list[tuple[Node, ...]]:
    """The orders of the file's inputs in which they match the network's."""
    commutes = step.kind in ("add", "mul")
    orders = [other.inputs, other.inputs[::-1]] if commutes else [other.inputs]
    return [
        order
        for order in orders
        if all(source in candidates[mine] for mine, source in zip(step.inputs, order))
    ]


def _not_resized(sources: list[Node], found: list[Node]) -> list[Node]:
    resized = {source for node in found if node.kind == "resize" for source in node.inputs}
    return [source for source in sources if source not in resized]


def _pair(step: Node, other: Node, candidates, pairs: Pairs) -> None:
    """Pairs a step and what it is computed from; steps that look alike are told by their use."""
    if other in pairs[step]:
        return
    pairs[step].append(other)
    if step.kind == "resize" and other.kind != "resize":
        _pair(step.inputs[0], other, candidates, pairs)
        return
    for mine, source in zip(step.inputs, _orders(step, other, candidates)[0]):
        _pair(mine, source, candidates, pairs)


def _difference(step: Node, found: list[Node], candidates, path: str) -> str:
    """Says what the file has in the place of a step that it lacks."""
    taken = {node for nodes in candidates.values() for node in nodes}
    places = [
        other
        for other in found
        if len(other.inputs) == len(step.inputs)
        and (not step.inputs or _orders(step, other, candidates))
    ]
    # What is most alike: the same kind of step, and none that another layer already accounts for.
    places.sort(key=lambda other: (other in taken, other.kind != step.kind))
    if places and places[0] not in taken:
        there = f"has {places[0]} there"
    else:
        there = "has nothing like it there"
        nexts = [o for o in found if o not in taken and taken.issuperset(o.inputs)]
        if nexts:
            there += f"; its first step without a counterpart is {nexts[0]}"
    return f"{path}: the file does not fit this network, first at {step}: the file {there}"


def _check_input(pairs: Pairs, path: str) -> None:
    """Refuses a file that normalises its input otherwise than the network."""
    inputs = ((step, other) for step in pairs if step.kind == "input" for other in pairs[step])
    for step, other in inputs:
        mine, theirs = _ends(step.content), _ends(other.content)
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


def _ends(affine: Affine) -> np.ndarray:
    """What black and white become, [2, 3]."""
    return np.array([np.broadcast_to(affine.scale * x + affine.offset, 3) for x in (0.0, 255.0)])


def _is_in_pixels(node: Node) -> bool:
    """Whether a file's convolutions take pixels as they are, normalisation inside the first."""
    return node.kind == "input" and node.content.known and np.allclose(node.content.scale, 1.0)


def _normalized(weights: Weights, network: Affine, file: Affine) -> Weights:
    """The weights of a first convolution for the network's normalisation of its input."""
    kernel, bias = weights.kernel, weights.bias
    # The file's input in terms of the network's: factor * x + shift, per channel.
    factor = np.broadcast_to(file.scale / network.scale, 3)
    shift = np.broadcast_to(file.offset - factor * network.offset, 3)
    return weights._replace(
        kernel=kernel * factor[:, np.newaxis], bias=bias + np.einsum("hwio,i->o", kernel, shift)
    )


def _interval(ends: np.ndarray) -> str:
    return f"{ends[0].min():.3g}..{ends[1].max():.3g}"


def _common(step: Node, uses: list[Node], path: str) -> Node:
    """All of a file's uses of one layer as one, with the weights that all have but for rounding.

    A quantized bias has the step of its use's input, so that each use rounds it otherwise; of each
    weight the value with the finest step is taken.
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
                    f"{path}: the file has several sets of weights for {step.name!r} (in "
                    f"{first.name!r} and in {use.name!r}), where the network has one for all of "
                    "its uses"
                )
            values.append(np.where(step_other < step_one, other, one))
            steps.append(np.minimum(step_one, step_other))
        weights = Weights(*values, *steps)
    return dataclasses.replace(first, content=weights)


def _values(step: Node, other: Node, path: str) -> list[tuple[tf.Variable, np.ndarray]]:
    """The variables of a convolution and its batch norm, and what the file says they are."""
    layer, norm = step.content
    kernel, bias = other.content.kernel, other.content.bias
    source = other.inputs[0]
    if _is_in_pixels(source):
        kernel, bias, *_ = _normalized(other.content, step.inputs[0].content, source.content)
    depthwise = step.kind == "depthwise"
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
            f"{path}: {other} has a bias, which {step.name!r} has not, nor batch norm to hold it"
        )
    return values
