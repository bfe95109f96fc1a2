"""Images as bytes."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.export import serving_module

ENCODERS = {"png": tf.io.encode_png, "jpeg": tf.io.encode_jpeg}


def encoded(images, form):
    return tf.stack([ENCODERS[form](image) for image in images])


@pytest.fixture(scope="module")
def module(small_network):
    return serving_module.Serving(small_network)


@pytest.mark.parametrize("form", ENCODERS)
@pytest.mark.parametrize("count", [1, 3])
def test_bytes_are_segmented_as_images_are(module, drawn, form, count):
    files = encoded(drawn.images[:count], form)
    images = np.stack([tf.io.decode_image(file) for file in files])
    expected = module(tf.constant(images))["logits"].numpy()
    answer = module.from_bytes(files)
    np.testing.assert_array_equal(answer["logits"], expected)
    np.testing.assert_array_equal(answer["labels"], expected.argmax(-1))
    assert answer["labels"].dtype == tf.int32 and answer["labels"].shape == (count, 64, 96)


def test_grey_and_transparent_files():
    grey = np.arange(48, dtype=np.uint8).reshape(4, 12, 1)
    clear = np.concatenate([np.repeat(grey, 3, -1), np.full_like(grey, 7)], -1)
    images = serving_module.decode(encoded([grey, clear], "png")[:1])
    np.testing.assert_array_equal(images[0], np.repeat(grey, 3, -1))
    images = serving_module.decode(encoded([clear, clear], "png"))
    np.testing.assert_array_equal(images[1], clear[..., :3])


def test_images_of_different_size_are_refused(module, drawn):
    files = encoded([drawn.images[0], drawn.images[1][:32]], "png")
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be of one size") as caught:
        module.from_bytes(files)
    assert "[64 96] [32 96]" in str(caught.value)


def test_what_is_no_image_is_refused(module):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        module.from_bytes(tf.constant(["nonsense"]))
