"""Where an int8 file of a network stores tensors, and which of them share a range.

Tensors are stored after each convolution with its batch norm and activation, each sum and each
mean. In int8, resizing, concatenation, slicing and average pooling cannot change a scale: all
tensors that these connect share one range, which covers them all. So no tensor is rounded to
another scale in between, and the file needs no operator for that.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

import tf_keras
from tf_keras import layers as keras

from mosaic.models.layers import ChannelSlice, Dropout, Normalize
from mosaic.models.pooling import PoolToBins, PoolWindows
from mosaic.models.resizing import ResizeLike
from mosaic.utils.errors import UserError

CONVOLUTIONS = (keras.Conv2D, keras.DepthwiseConv2D)
_AVERAGES = (PoolToBins, PoolWindows)
_SAME_SCALE = (*_AVERAGES, ResizeLike, ChannelSlice, Dropout, keras.Concatenate)
_SAME_SCALE += (keras.ZeroPadding2D,)
_OWN_SCALE = (
    *CONVOLUTIONS,
    keras.BatchNormalization,
    keras.ReLU,
    keras.Add,
    keras.GlobalAveragePooling2D,
)
# Layers, and those that become one operator with them if they are their only user.
_FUSED = (
    (CONVOLUTIONS, (keras.BatchNormalization, keras.ReLU)),
    ((keras.BatchNormalization, keras.Add), (keras.ReLU,)),
)

# The output of a layer: the layer's name, and the index of its use.
Output = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Site:
    """A place in a network where a tensor is rounded to 8 bits.

    Attributes:
      output: output of a layer.
      group: number of the group; sites of one group share a range.
      measured: whether the tensor's own extremes are measured. Those of an average need not be:
        they lie within those of its inputs.
      signed: whether values may be below 0.
    """

    output: Output
    group: int
    measured: bool
    signed: bool

    @property
    def name(self) -> str:
        """Name of the layer that is inserted there."""
        layer, use = self.output
        return f"{layer}_range{use + 1 if use else ''}"


def is_variable(name: str) -> bool:
    """Whether a variable of that name belongs to the range of a site."""
    return re.fullmatch(r".+_range\d*/(low|high)", name) is not None


def sites(network: tf_keras.Model) -> list[Site]:
    """Finds the sites of a functional network of plain layers.

    Raises:
      UserError: a layer cannot be quantized.
    """
    inputs = {
        (entry["name"], use): [(name, at) for name, at, *_ in node]
        for entry in network.get_config()["layers"]
        for use, node in enumerate(entry["inbound_nodes"])
    }
    kinds = {name: network.get_layer(name) for name, _ in inputs}
    followers: dict[str, set[str]] = {}
    for (name, _), sources in inputs.items():
        for source, _ in sources:
            followers.setdefault(source, set()).add(name)
    groups = _Groups()
    found = []
    for output, sources in inputs.items():
        layer = kinds[output[0]]
        if isinstance(layer, _SAME_SCALE):
            # A resize takes only the size of its second input.
            for source in sources[:1] if isinstance(layer, ResizeLike) else sources:
                groups.join(output, source)
        elif not isinstance(layer, (*_OWN_SCALE, Normalize)):
            raise UserError(
                f"{network.name}: {layer.name} ({type(layer).__name__}) has no 8-bit form; "
                "quantization-aware training takes networks of convolutions, batch norm, ReLU, "
                "sums, concatenations, average pooling and resizes"
            )
        if _is_site(layer, [kinds[name] for name in followers.get(layer.name, ())]):
            found.append(output)
    numbers = {root: number for number, root in enumerate(dict.fromkeys(map(groups.root, found)))}
    return [
        Site(
            output,
            numbers[groups.root(output)],
            not isinstance(kinds[output[0]], _AVERAGES),
            not isinstance(kinds[output[0]], keras.ReLU),
        )
        for output in found
    ]


def _is_site(layer, followers: Sequence) -> bool:
    if isinstance(layer, _AVERAGES):
        return True
    if isinstance(layer, (*_SAME_SCALE, Normalize)):
        return False
    return not any(
        isinstance(layer, first) and len(followers) == 1 and isinstance(followers[0], second)
        for first, second in _FUSED
    )


class _Groups:
    """Groups of outputs that share a range (union-find)."""

    def __init__(self):
        self._above: dict[Output, Output] = {}

    def root(self, output: Output) -> Output:
        while output in self._above:
            output = self._above[output]
        return output

    def join(self, one: Output, other: Output) -> None:
        one, other = self.root(one), self.root(other)
        if one != other:
            self._above[one] = other


def insert(
    network: tf_keras.Model,
    at: Sequence[Site],
    make: Callable[[Site], tf_keras.layers.Layer],
    convert: Callable[[tf_keras.layers.Layer], tf_keras.layers.Layer],
) -> tf_keras.Model:
    """Builds a network with layers inserted at its sites, and the same weights.

    Args:
      network: network, which stays as it is.
      at: sites of the network, from `sites`.
      make: function of a site that returns the layer to insert, with the site's name.
      convert: function of a layer that returns a new layer of the same name to replace it.
    """
    config = network.get_config()
    names = {site.output: site.name for site in at}

    def moved(reference):
        name, use, *rest = reference
        return [names[name, use], 0, *rest] if (name, use) in names else reference

    for entry in config["layers"]:
        # A resize only needs the size of its second input, which is the same after rounding.
        entry["inbound_nodes"] = [[moved(r) for r in node] for node in entry["inbound_nodes"]]
    config["output_layers"] = [moved(reference) for reference in config["output_layers"]]
    for site in at:
        entry = keras.serialize(keras.Activation("linear", name=site.name))
        inbound = [[[*site.output, 0, {}]]]
        config["layers"].append({**entry, "name": site.name, "inbound_nodes": inbound})
    by_name = {site.name: site for site in at}
    result = tf_keras.models.clone_model(
        tf_keras.Model.from_config(config),
        clone_function=lambda layer: (
            make(by_name[layer.name]) if layer.name in by_name else convert(layer)
        ),
    )
    assign(result, network)
    return result


def assign(to: tf_keras.Model, source: tf_keras.Model) -> None:
    """Gives the variables of a network the values of those of the same name in another."""
    values = {variable.name: variable for variable in source.variables}
    for variable in to.variables:
        if variable.name in values:
            variable.assign(values[variable.name].numpy())
