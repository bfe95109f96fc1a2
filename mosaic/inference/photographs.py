"""Users' own images without truth, in the place of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mosaic.inference import image_files
from mosaic.inference.predictors import fit_image
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import UserError

# More of them would change neither checks nor ranges, and all are kept in memory.
_MOST = 64


class Photographs:
    """Images without truth: a data set for exports, of which `train` and `val` are the same.

    Args:
      paths: paths of images, folders and videos, as for `image_files.find`; the first 64 images are
        taken.
      classes: names and colours of the classes of the network that gets the images.
      size: (height, width) that all images are resized to.

    Raises:
      UserError: there is no image, or one cannot be read.
    """

    name = "photographs"
    splits = ("train", "val")
    categories = ()
    augment = None

    def __init__(self, paths: Sequence[str], classes: Classes, size: tuple[int, int]):
        self.class_names, self.colors = classes.class_names, classes.colors
        self.ignore_label, self.num_classes = classes.ignore_label, len(classes.class_names)
        self.label_values = tuple(range(self.num_classes))
        self.image_size = self.crop_size = tuple(size)
        self._images: list[tuple[str, np.ndarray]] = []
        for source in image_files.find(paths):
            for name, image in image_files.read(source):
                if len(self._images) < _MOST:
                    self._images.append((name, fit_image(image, size)))
            if len(self._images) == _MOST:
                break

    def num_images(self, split: str) -> int:
        """Returns the number of images."""
        return len(self._images)

    def image_id(self, split: str, index: int) -> str:
        """Returns the name of an image, without suffix."""
        return self._images[index][0]

    def example(self, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns an image, and labels of the same size that are all ignored."""
        image = self._images[index][1]
        return image, np.full(image.shape[:2], self.ignore_label, np.uint8)

    def train_batches(self, *args, **kwargs) -> Iterable:
        """Raises a UserError: there is no truth to learn from."""
        raise UserError("photographs have no truth; name a data set by --data_dir")

    eval_batches = train_batches
