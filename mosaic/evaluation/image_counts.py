"""What an image's pixels add to each class's IoU, kept compactly in report.json.

True positives, false positives and false negatives of every image are enough to score any choice of
the images, as a bootstrap does (`mosaic.evaluation.chance`).
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

_ENCODING = "base64 of zlib of little-endian int32"
_ROWS = ["true positives", "false positives", "false negatives"]
# In bytes; ADE20K's validation split with all its classes has 3.6 million.
_MOST = 10**8


def counted(matrix: np.ndarray, ignored_classes: Sequence[int]) -> np.ndarray:
    """Returns a confusion matrix, int64, without the pixels of ignored classes."""
    matrix = np.array(matrix, np.int64)
    matrix[list(ignored_classes)] = 0
    return matrix


def outcomes(matrix: np.ndarray, ignored_classes: Sequence[int] = ()) -> np.ndarray:
    """Returns true positives, false positives and false negatives, int64 [3, classes].

    Args:
      matrix: confusion matrix, as for `metrics.iou`.
      ignored_classes: indices of classes whose pixels count as not labelled; theirs are 0.
    """
    matrix = counted(matrix, ignored_classes)
    hits = np.diag(matrix)
    found = np.stack([hits, matrix.sum(0)[: len(hits)] - hits, matrix.sum(1) - hits])
    found[:, list(ignored_classes)] = 0
    return found


def mean_iou(found: np.ndarray) -> np.ndarray:
    """Returns mean IoU over the classes that occur, float64 [...]; NaN if none does.

    Args:
      found: sums of `outcomes`, [..., 3, classes].
    """
    union = found.sum(-2)
    ious = np.divide(found[..., 0, :], union, out=np.zeros(union.shape), where=union > 0)
    classes = (union > 0).sum(-1)
    return np.divide(ious.sum(-1), classes, out=np.full(classes.shape, np.nan), where=classes > 0)


def pack(images: Sequence[np.ndarray]) -> dict:
    """Returns the `outcomes` of all images for report.json."""
    found = np.asarray(images, "<i4")
    data = base64.b64encode(zlib.compress(found.tobytes(), 9)).decode()
    return {"encoding": _ENCODING, "rows": _ROWS, "shape": list(found.shape), "data": data}


def unpack(table: Mapping) -> np.ndarray:
    """Returns the `outcomes` of all images, int32 [images, 3, classes], from report.json.

    Raises:
      ValueError: they are damaged.
    """
    shape = table.get("shape")
    is_shape = isinstance(shape, list) and len(shape) == 3 and shape[1] == 3
    if not (is_shape and all(type(n) is int and n > 0 for n in shape)):
        raise ValueError("the shape of the images' counts is wrong")
    size = 4 * shape[0] * shape[1] * shape[2]
    if size > _MOST:
        raise ValueError("the images' counts are too many")
    try:
        reader = zlib.decompressobj()
        content = reader.decompress(base64.b64decode(table["data"], validate=True), size + 1)
    except (zlib.error, binascii.Error, KeyError, TypeError) as error:
        raise ValueError(f"the images' counts are damaged ({error})") from None
    if len(content) != size:
        raise ValueError("the images' counts have another size than they say")
    return np.frombuffer(content, "<i4").reshape(shape)
