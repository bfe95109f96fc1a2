"""The window of a scaled and mirrored image that becomes a training example, on uint8."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Window:
    """A window of the image after scaling and mirroring; pixels are numbered by their centres.

    Attributes:
      crop_size: (height, width) of the result, in pixels; a smaller scaled image is padded at the
        bottom and right.
      scaled: (height, width) of the whole scaled image, in pixels.
      offset: (row, column) of the window's corner in the scaled and mirrored image.
      mirrored: whether the image is mirrored horizontally.
    """

    crop_size: tuple[int, int]
    scaled: tuple[int, int]
    offset: tuple[int, int]
    mirrored: bool

    @property
    def inside(self) -> tuple[int, int]:
        """(height, width) of the part that is not padding."""
        height, width = (
            min(crop, scaled - offset)
            for crop, scaled, offset in zip(self.crop_size, self.scaled, self.offset, strict=True)
        )
        return height, width

    def image(
        self,
        image: np.ndarray,
        pad_color: np.ndarray,
        recolor: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> np.ndarray:
        """Cuts the window from an image, bilinear and within one level of exact arithmetic.

        Args:
          image: uint8 [height, width, 3].
          pad_color: colour of padding, uint8 [3].
          recolor: function of the pixels that are not padding, uint8 [height, width, 3], that
            returns new ones; None to keep them.

        Returns:
          uint8 [*crop_size, 3].
        """
        if image.shape[:2] != self.scaled:
            # INTER_LINEAR has weights of 11 bits and errors below 0.9. INTER_LINEAR_EXACT has 8
            # bits and errors above 1; warpAffine rounds positions. The whole image is scaled, since
            # resize has no windows that begin between two pixels of the source.
            image = cv2.resize(image, self.scaled[::-1], interpolation=cv2.INTER_LINEAR)
        (height, width), (top, left) = self.inside, self.offset
        if self.mirrored:
            left = self.scaled[1] - left - width
        image = image[top : top + height, left : left + width]
        if recolor:
            image = recolor(image)
        return self._pad(cv2.flip(image, 1) if self.mirrored else image, pad_color.tolist())

    def label(self, label: np.ndarray, ignore_label: int) -> np.ndarray:
        """Cuts the window from a label, by nearest-neighbour interpolation.

        Args:
          label: uint8 [height, width].
          ignore_label: class index of padding.

        Returns:
          uint8 [*crop_size].
        """
        rows, columns = self._nearest(0, label.shape), self._nearest(1, label.shape)
        if self.mirrored:
            columns = label.shape[1] - 1 - columns
        # Columns first: copying whole rows is fast, as often as they are needed.
        label = label[rows[0] : rows[-1] + 1].take(columns, axis=1).take(rows - rows[0], axis=0)
        return self._pad(label, ignore_label)

    def _nearest(self, axis: int, size: tuple[int, int]) -> np.ndarray:
        """The nearest source pixel of each pixel of the window along an axis."""
        position = np.arange(self.inside[axis], dtype=np.float32) + self.offset[axis]
        ratio = np.float32(size[axis]) / np.float32(self.scaled[axis])
        index = np.floor((position + np.float32(0.5)) * ratio)
        return np.minimum(index.astype(np.intp), size[axis] - 1)

    def _pad(self, pixels: np.ndarray, value) -> np.ndarray:
        bottom, right = np.subtract(self.crop_size, self.inside).tolist()
        if not bottom and not right:
            return np.ascontiguousarray(pixels)
        return cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=value)
