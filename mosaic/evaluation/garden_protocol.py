"""The Model Garden's own evaluation of Cityscapes, as its code does it to its published weights.

Since March 2022 its reader encodes each frame as JPEG before use, and since September 2022 the
first batch is forgotten. Which code scored a published figure is not known: so both this and the
evaluation of all images are reported, and which of them meets the figure. Sources: the installed
`official.vision.dataloaders.tfds_segmentation_decoders` and `tasks.semantic_segmentation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from mosaic.evaluation import loop, metrics
from mosaic.evaluation.loop import ScoredImage
from mosaic.evaluation.protocols import Evaluation
from mosaic.utils.segmentation_dataset import SegmentationDataset

# A float32 that grows by 1 grows no further.
_LARGEST = 2**24


class GardenCounts:
    """Observer that counts as the Garden's metric does.

    Each batch is counted in float32, one pixel after the other, and the batches are added up in
    float32. The first batch is left out, and so are batches after the last step.

    Args:
      num_classes: number of classes.
      batch_size: number of images in a batch.
      steps: number of batches of an evaluation.

    Attributes:
      num_images: number of images that count.
    """

    def __init__(self, num_classes: int, batch_size: int, steps: int):
        self.num_images = 0
        self._batch_size, self._steps = batch_size, steps
        self._batches = np.zeros([steps, num_classes, num_classes], np.int64)

    def see(self, image: ScoredImage) -> None:
        batch = image.index // self._batch_size
        if 0 < batch < self._steps:
            self._batches[batch] += image.counts[:, : len(image.counts)]
            self.num_images += 1

    @property
    def matrix(self) -> np.ndarray:
        """Confusion matrix, float32 [classes, classes]."""
        total = np.zeros(self._batches.shape[1:], np.float32)
        for counts in self._batches:
            total += np.minimum(counts, _LARGEST).astype(np.float32)
        return total


@tf.function(reduce_retracing=True)
def through_jpeg(images: tf.Tensor) -> tf.Tensor:
    """Returns images as the Garden's reader of Cityscapes gives them.

    Args:
      images: uint8 [batch, height, width, 3].

    Returns:
      The same, encoded and decoded as JPEG of quality 100 with colours at half resolution.
    """

    def recoded(image):
        content = tf.io.encode_jpeg(image, quality=100)
        return tf.io.decode_image(content, channels=3, expand_animations=False)

    found = tf.map_fn(recoded, images)
    return tf.ensure_shape(found, images.shape)


def score(
    segment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    dataset: SegmentationDataset,
    evaluation: Evaluation,
    protocol: Mapping[str, int],
    threads: int,
) -> dict:
    """Scores a network on a split of Cityscapes in the Garden's way.

    Args:
      segment: function from images and labels to predictions, as for `loop.run`.
      dataset: data set to score on.
      evaluation: settings of the evaluation.
      protocol: `batch_size` and `steps` of the Garden's evaluation.
      threads: number of batches that are computed at the same time.

    Returns:
      `mean_iou`, 0 to 1 or None, and `num_images` that count.
    """
    counts = GardenCounts(dataset.num_classes, **protocol)
    loop.run(
        lambda images, labels: segment(through_jpeg(images), labels),
        dataset,
        evaluation.split,
        [counts],
        evaluation.batch_size,
        threads=threads,
        title="evaluate in the Garden's way",
    )
    mean_iou = metrics.number(metrics.mean_iou(counts.matrix))
    return {"mean_iou": mean_iou, "num_images": counts.num_images}
