"""A convolution of a map and of a pixel beside it, of which files compute both halves apart.

`mosaic.export.float_rewrite` writes a 1x1 convolution of a concatenation, one of whose parts is a
pixel that is repeated over the map, as two convolutions and their sum. Here it is one again.
"""

from __future__ import annotations

import numpy as np

from mosaic.models.resizing import RULES
from mosaic.tflite.graph import LINEAR, Convolution, Node, Weights


def merged(halves: tuple[Node, ...], is_pixel: tuple[bool, ...], name: str, active) -> Node | None:
    """Returns the convolution whose halves are summed; None where they are no such halves.

    Args:
      halves: two nodes of a file, in the order of the sum: a pixel that was concatenated first is
        the first.
      is_pixel: whether the map of each is a single pixel.
      name: name of the sum.
      active: possible activations of the sum.
    """
    if sum(is_pixel) != 1 or not all(_is_half(node) for node in halves):
        return None
    parts, kernels = [], []
    for node, alone in zip(halves, is_pixel):
        (source,) = node.inputs
        if alone:
            parts.append(Node("resize", f"{source.name} repeated", (source,), options=RULES))
        else:
            parts += source.inputs if source.kind == "concat" else (source,)
        kernels.append(node.content)
    kernel = np.concatenate([weights.kernel for weights in kernels], axis=2)
    steps = np.maximum(*(weights.kernel_quantization_step for weights in kernels))
    bias, bias_steps = (kernels[0][k] + kernels[1][k] for k in (1, 3))
    shape = Convolution.of((1, 1), kernel.shape[2:], (1, 1), (1, 1), "same")
    source = Node("concat", f"{name} of", tuple(parts))
    return Node("conv", name, (source,), shape, active, Weights(kernel, bias, steps, bias_steps))


def _is_half(node: Node) -> bool:
    return (
        node.kind == "conv"
        and (node.shape.kernel, node.shape.stride) == ((1, 1), (1, 1))
        and bool(node.options & LINEAR)
    )
