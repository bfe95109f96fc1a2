"""Hard sigmoid after a convolution: min(max(x + 3, 0), 6) / 6.

TFLite has no operator for it. Converters make the summand part of the convolution's bias, leave
ReLU6 and multiply by the factor. Here that is one activation again.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mosaic.tflite.graph import Node

NAME = "hard_sigmoid"
_SUMMAND = 3.0
# Networks have 0.16667 as well as 1 / 6, and 8-bit files round it.
_TOLERANCE = 0.01


def merged(node: Node, factor: np.ndarray, name: str) -> Node | None:
    """Returns a convolution with ReLU6, times a factor, as one with hard sigmoid.

    Args:
      node: node that is multiplied.
      factor: what it is multiplied by.
      name: name of the product.

    Returns:
      The node; None where the product is no hard sigmoid.
    """
    is_sixth = factor.size == 1 and np.isclose(factor.item() * 6.0, 1.0, rtol=_TOLERANCE)
    if node.kind != "conv" or "relu6" not in node.options or not is_sixth:
        return None
    content = node.content._replace(bias=node.content.bias - _SUMMAND)
    options = frozenset((NAME,))
    return dataclasses.replace(node, name=name, options=options, content=content, limit=None)
