"""Videos of predictions: WebM with VP8, which OpenCV encodes by itself and browsers play."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from mosaic.utils.atomic_io import replacing
from mosaic.utils.errors import UserError
from mosaic.utils.quiet import quiet
from mosaic.utils.visualize import shrunk

SUFFIX = ".webm"
_CODEC = "VP80"
# Wider pictures are made smaller: VP8 encodes some 10 megapixels a second on one core.
_WIDEST = 1920


@contextlib.contextmanager
def writing(path: pathlib.Path, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that adds a frame, uint8 RGB [height, width, 3], all of one size.

    The file gets its name when the block ends, and without a frame there is none.

    Args:
      path: path of the video, with the suffix .webm.
      rate: frames a second.

    Raises:
      UserError: this OpenCV cannot encode it.
    """
    with contextlib.ExitStack() as stack:
        video: list[cv2.VideoWriter] = []

        def add(frame: np.ndarray) -> None:
            frame = shrunk(frame, _WIDEST)
            # The codec takes even sides.
            frame = frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2]
            if not video:
                aside = stack.enter_context(replacing(path))
                video.append(_opened(aside, rate, frame.shape[1::-1]))
                stack.callback(video[0].release)
            video[0].write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

        yield add


def _opened(path: pathlib.Path, rate: float, size: tuple[int, int]) -> cv2.VideoWriter:
    # OpenCV tells of a tag that WebM does not have.
    with quiet():
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*_CODEC), rate, size)
    if not video.isOpened():
        raise UserError(
            f"{path.name}: this OpenCV has no encoder for {_CODEC}; install "
            "opencv-python-headless from PyPI"
        )
    return video
