"""Networks as SavedModels serve them: TF Hub's contract, and images from image files."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from mosaic.models.resizing import resize_bilinear, rule_of, size_of


class Serving(tf.Module):
    """A network behind the TF Hub module's contract.

    Images [batch, height, width, 3] in 0..255, float32 or uint8, of any batch and size that the
    network takes, give `logits` [batch, height, width, classes] at the images' own size.
    """

    def __init__(self, model):
        super().__init__(name="segmentation")
        # Only the variables are tracked: a tracked Keras model would be saved a second time, layer
        # by layer, in a format that needs Keras to load.
        self._weights = model.variables
        self._forward = lambda images: model(images, training=False)
        self._rule = rule_of(model)

    @tf.function
    def __call__(self, images):
        logits = self._forward(tf.cast(images, tf.float32))
        return {"logits": resize_bilinear(logits, size_of(images), self._rule)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def from_bytes(self, image_bytes):
        """Decodes JPEG or PNG files, all of one size, and segments them.

        Returns:
          `logits` as `__call__`, and `labels` [batch, height, width], int32: the class with the
          largest logit, in far fewer bytes.
        """
        outputs = self(decode(image_bytes))
        return {**outputs, "labels": tf.argmax(outputs["logits"], -1, output_type=tf.int32)}

    def signature(
        self, dtype: tf.DType, shape: Sequence[int | None] = (None, None, None, 3)
    ) -> tf.types.experimental.ConcreteFunction:
        """Returns the concrete function for one input type and shape."""
        return self.__call__.get_concrete_function(tf.TensorSpec(shape, dtype, "images"))

    def signatures(self) -> dict:
        """Returns all signatures of a SavedModel, by name."""
        return {
            "serving_default": self.signature(tf.float32),
            "serving_uint8": self.signature(tf.uint8),
            "serving_image_bytes": self.from_bytes.get_concrete_function(),
        }


def decode(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decodes image files to one batch.

    Args:
      image_bytes: string [batch], the content of a JPEG or PNG file each; grey images become RGB,
        and transparency is dropped.

    Returns:
      uint8 [batch, height, width, 3].

    Raises:
      tf.errors.InvalidArgumentError: one is not an image, or they differ in size.
    """
    count = tf.size(image_bytes)
    images = tf.TensorArray(tf.uint8, count, infer_shape=False, element_shape=[None, None, 3])
    size = tf.zeros([2], tf.int32)
    for index in tf.range(count):
        image = tf.io.decode_image(image_bytes[index], 3, expand_animations=False)
        image = tf.ensure_shape(image, [None, None, 3])
        found = tf.shape(image)[:2]
        tf.debugging.Assert(
            tf.logical_or(index == 0, tf.reduce_all(found == size)),
            ["the images of one batch must be of one size, but height and width are", size, found],
        )
        size = found
        images = images.write(index, image)
    return images.stack()
