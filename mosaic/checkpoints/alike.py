"""The experiments in configs/ whose network has given settings, for messages."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import mosaic.models.deeplab
import mosaic.models.lraspp
import mosaic.models.mosaic  # noqa: F401 - registers these networks, whose defaults count
from mosaic import config
from mosaic.utils import gin_text

CLASSES = "NUM_CLASSES"
_PROJECTED = "mosaic.projected_filters"
_MOST = 3  # names in a message


def told(kind: str, settings: Mapping[str, object], are_classes_alone: bool = False) -> str:
    """Says which experiments have a network like that.

    Args:
      kind: name of the network's function, such as `deeplab`.
      settings: settings of the network by `configurable.parameter`, and `NUM_CLASSES`.
      are_classes_alone: whether only experiments of as many classes are wanted.

    Returns:
      A text such as "as in the experiment zoo_mnv2_pascal": those of as many classes, or else of
      any; empty where there are none.
    """
    classes = settings.get(CLASSES)
    network = {name: value for name, value in settings.items() if name != CLASSES}
    found = [
        (name, bound.get(f"{kind}.num_classes"))
        for name, bound in _experiments(kind).items()
        if all(_value(bound, name) == gin_text.as_json(value) for name, value in network.items())
    ]
    names, but = [name for name, own in found if own == classes], ""
    if not names and not are_classes_alone:
        names, but = [name for name, _ in found], f" but for {CLASSES}"
    # Those that only score or train the same network otherwise are called after it.
    names = [name for name in names if not any(name.startswith(f"{n}_") for n in names)]
    if not names:
        return ""
    return f"as in the experiment {' or '.join(names[:_MOST])}{but}"


def _value(bound: Mapping[str, object], name: str) -> object:
    return gin_text.as_json(bound.get(name, config.default(name)))


@functools.cache
def _experiments(kind: str) -> dict[str, dict[str, object]]:
    """What each experiment with such a network binds, by the experiment's name."""
    found = {}
    for path in sorted(config.CONFIGS.glob("*.gin")):
        bound = gin_text.resolved(gin_text.bound(config.statements([str(path)])))
        if gin_text.as_json(bound.get("train.model")) == kind:
            if bound.get(_PROJECTED) == (bound.get("mosaic.num_classes"),) * 2:
                del bound[_PROJECTED]  # the same as None
            found[path.stem] = bound
    return found
