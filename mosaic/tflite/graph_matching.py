"""Which nodes of a file's graph are which of a network's, by structure and names together.

Both graphs are walked from the input on. A node of the file matches a node of the network if both
do the same and their inputs match. Where several nodes of the file match one of the network, their
use and their names decide.
"""

from __future__ import annotations

from mosaic.tflite import graph, graph_from_keras
from mosaic.tflite.graph import Node
from mosaic.utils.errors import UserError

# Each node of the network with the file's nodes that do the same: several where the file repeats
# what the network computes once.
Pairs = dict[Node, list[Node]]


def is_wanted(step: Node, prefixes: tuple[str, ...]) -> bool:
    """Whether a node has weights, in a layer whose name begins with one of `prefixes`."""
    return isinstance(step.content, graph_from_keras.Layers) and step.name.startswith(prefixes)


def paired(network: Node, outputs: tuple[Node, ...], path: str, prefixes: tuple[str, ...]) -> Pairs:
    """Finds for each node of the network the file's nodes that compute the same.

    Args:
      network: last node of the network, as `graph_from_keras.of_model` returns it.
      outputs: output nodes of the file, as `graph_from_file.read` returns them.
      path: path of the file, for messages.
      prefixes: beginnings of the names of the layers that must be found; with "" all layers, up to
        the network's last node.

    Returns:
      All nodes of the network, each after its inputs; those that are not wanted may have no pair.

    Raises:
      UserError: the file lacks a node of the network; the message names the first.
    """
    found = graph.ancestors(outputs)
    candidates: Pairs = {}
    for node in graph.ancestors((network,)):
        candidates[node] = [other for other in found if _same(node, other, candidates)]
        if node.kind == "resize" and not candidates[node]:
            # Where the sizes are equal already, the file has no resize, only its input.
            candidates[node] = _not_resized(candidates[node.inputs[0]], found)
        if not candidates[node] and ("" in prefixes or is_wanted(node, prefixes)):
            first = next(s for s in graph.ancestors((node,)) if not candidates[s])
            raise UserError(_difference(first, found, candidates, path))
    if "" not in prefixes:
        return {node: _told_by_name(node, others) for node, others in candidates.items()}
    ends = [output for output in outputs if output in candidates[network]]
    if not ends:
        raise UserError(
            f"{path}: the file does not fit this network, which ends with {network}: the file "
            f"goes on to {outputs[0]}"
        )
    pairs: Pairs = {node: [] for node in candidates}
    _pair(network, ends[0], candidates, pairs)
    return pairs


def _told_by_name(node: Node, others: list[Node]) -> list[Node]:
    """Of several nodes that do the same, those named like the network's layer; all if none is."""
    if len(others) < 2:
        return others
    # A file's tensor can be named after a layer's convolution, its batch norm or its activation.
    layer = node.name.rpartition("_")[0] or node.name
    called = [
        other
        for other in others
        if any(layer in (part, part.rpartition("_")[0]) for part in other.name.split("/"))
    ]
    return called or others


def _same(node: Node, other: Node, candidates: Pairs) -> bool:
    """Whether `other`, a node of the file, does what `node` does to matching inputs."""
    return node.fits(other) and bool(_orders(node, other, candidates))


def _orders(node: Node, other: Node, candidates) -> list[tuple[Node, ...]]:
    """The orders in which the inputs of `other`, a node of the file, match those of `node`."""
    commutes = node.kind in ("add", "mul")
    orders = [other.inputs, other.inputs[::-1]] if commutes else [other.inputs]
    return [
        order
        for order in orders
        if all(source in candidates[mine] for mine, source in zip(node.inputs, order))
    ]


def _not_resized(sources: list[Node], found: list[Node]) -> list[Node]:
    resized = {source for other in found if other.kind == "resize" for source in other.inputs}
    return [source for source in sources if source not in resized]


def _pair(node: Node, other: Node, candidates, pairs: Pairs) -> None:
    """Pairs a node and all that it is computed from: the use of similar nodes tells them apart."""
    if other in pairs[node]:
        return
    pairs[node].append(other)
    if node.kind == "resize" and other.kind != "resize":
        _pair(node.inputs[0], other, candidates, pairs)
        return
    for mine, source in zip(node.inputs, _orders(node, other, candidates)[0]):
        _pair(mine, source, candidates, pairs)


def _difference(node: Node, found: list[Node], candidates, path: str) -> str:
    """Says what the file has in the place of a node that it lacks."""
    taken = {other for others in candidates.values() for other in others}
    places = [
        other
        for other in found
        if len(other.inputs) == len(node.inputs)
        and (not node.inputs or _orders(node, other, candidates))
    ]
    # The most similar first: of the same kind, and not yet matched by another node.
    places.sort(key=lambda other: (other in taken, other.kind != node.kind))
    if places and places[0] not in taken:
        there = f"has {places[0]} there"
    else:
        there = "has nothing like it there"
        nexts = [o for o in found if o not in taken and taken.issuperset(o.inputs)]
        if nexts:
            there += f"; its first step without a counterpart is {nexts[0]}"
    return f"{path}: the file does not fit this network, first at {node}: the file {there}"
