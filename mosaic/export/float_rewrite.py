"""Networks restructured for float files: the same function of the image, in fewer operators.

Three things cost a float file of a small network a quarter of its time: normalisation, three
operators over the whole image; repeating a single pixel, an operator that kernel libraries lack and
that splits the network into parts; and multiplying that pixel by the same weights at every place.
Here normalisation is two operators, and where image-level features are concatenated with a map and
go through a 1x1 convolution, they go through their part of it once and are added.
"""

from __future__ import annotations

import tf_keras

from mosaic.models import batch_norm, late_resize
from mosaic.models.exchange import exchanged
from mosaic.models.resizing import ResizeAlways, ResizeLike


def in_floats(model: tf_keras.Model) -> tf_keras.Model:
    """Returns a network for float files with the weights that a network has now.

    Args:
      model: functional model of plain layers, which stays as it is.
    """
    network = batch_norm.folded(model, divided=False)
    network = late_resize.apart(network, _pixels(network))
    if not any(map(late_resize.repeats_pixel, network.layers)):
        return network
    return exchanged(network, {ResizeLike: ResizeAlways})


def _pixels(network: tf_keras.Model) -> dict[str, list[str]]:
    """By the name of a 1x1 convolution, that of the resize that repeats a pixel for it.

    The pixel is the first or the last of the parts: readers of the file tell it by the sum's order.
    """
    found = {}
    for conv in filter(late_resize.is_pointwise, network.layers):
        parts = late_resize.parts(conv)
        pixels = [part.name for part in (parts[0], parts[-1]) if late_resize.repeats_pixel(part)]
        if pixels:
            found[conv.name] = pixels[:1]
    return found
