"""Which steps of a file's graph are which of a network's: told by structure and names together.

Both graphs are walked from the input on. A step of the file can stand for one of the network if it
does the same to what stands for the same inputs; where several can, their use and their names
decide.
"""

from __future__ import annotations

from mosaic.tflite import graph, graph_from_keras
from mosaic.tflite.graph import Node
from mosaic.utils.errors import UserError

# Each step of the network with the file's steps that do the same: several, where the file repeats
# what the network computes once.
Pairs = dict[Node, list[Node]]


def is_wanted(step: Node, prefixes: tuple[str, ...]) -> bool:
    """Whether a step has weights, in a layer whose name begins with one of `prefixes`."""
    return isinstance(step.content, graph_from_keras.Layers) and step.name.startswith(prefixes)


def paired(network: Node, outputs: tuple[Node, ...], path: str, prefixes: tuple[str, ...]) -> Pairs:
    """Finds for each step of the network the file's steps that compute the same.

    Args:
      network: its last step, as `model_graph.of_model` gives it.
      outputs: of the file, as `tflite_graph.read` gives them.
      path: of the file, for errors.
      prefixes: of the layers that must be found; with "" all, up to the network's last step.

    Returns:
      All steps, each after its inputs; those that are not wanted may have no pair.

    Raises:
      UserError: naming the first step of the network that the file lacks.
    """
    found = graph.ancestors(outputs)
    candidates: Pairs = {}
    for step in graph.ancestors((network,)):
        candidates[step] = [other for other in found if _same(step, other, candidates)]
        if step.kind == "resize" and not candidates[step]:
            # No resize where the sizes are equal already: then its input goes on.
            candidates[step] = _not_resized(candidates[step.inputs[0]], found)
        if not candidates[step] and ("" in prefixes or is_wanted(step, prefixes)):
            first = next(s for s in graph.ancestors((step,)) if not candidates[s])
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
