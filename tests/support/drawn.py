"""A data set in memory, as small as it can be."""

import numpy as np
import tensorflow as tf


class Drawn:
    """A data set in memory: noise images whose label is a threshold of their brightness."""

    name = "drawn"
    class_names = ("dark", "bright", "absent")
    colors = ((0, 0, 200), (200, 200, 0), (0, 200, 0))
    ignore_label = 255
    num_classes = 3
    image_size = (64, 96)
    crop_size = (64, 96)
    augment = None
    splits = ("train", "val")
    categories = ()
    label_values = (10, 20, 30)

    def __init__(self, count=5):
        rng = np.random.default_rng(1)
        blocks = rng.integers(0, 256, (count, 8, 12, 3))
        self.images = np.kron(blocks, np.ones((1, 8, 8, 1))).astype(np.uint8)
        self.labels = (self.images.mean(-1) > 127).astype(np.uint8)
        self.labels[:, :4] = 255

    def num_images(self, split):
        return len(self.images)

    def image_id(self, split, index):
        return f"{split}_{index}"

    def example(self, split, index):
        return self.images[index], self.labels[index]

    def train_batches(self, batch_size, seed, start_step=0, context=None):
        raise AssertionError(f"{self.name} is not trained on")

    def eval_batches(self, split, batch_size=1, context=None):
        pairs = tf.data.Dataset.from_tensor_slices((self.images, self.labels))
        return pairs.batch(batch_size)
