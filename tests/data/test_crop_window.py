"""Windows of scaled and mirrored images and labels."""

import numpy as np
import pytest
import tensorflow as tf

from data.crop_window import Window
from examples import ROUNDING, random_example

IGNORE = 255


@pytest.mark.parametrize("seed", range(8))
def test_scale_and_crop_are_the_gardens(seed):
    from official.vision.ops import preprocess_ops

    tf.random.set_seed(seed)
    image, label = random_example(23, 34)
    crop_size = [16, 21]
    theirs, info = preprocess_ops.resize_and_crop_image(
        tf.constant(image, tf.float32), crop_size, crop_size, 0.5, 2.0, seed=seed
    )
    size, scale, offset = info[0], info[2], info[3]
    # Theirs truncates size * scale: the nudge keeps it from losing a row to float rounding.
    their_label = preprocess_ops.resize_and_crop_masks(
        tf.constant(label[None, ..., None] + 1, tf.float32), scale * 1.00001, crop_size, offset
    )[0, ..., 0]
    scaled, offset = (tuple(np.rint(x).astype(int).tolist()) for x in (size * scale, offset))
    window = Window(tuple(crop_size), scaled, offset, mirrored=False)
    ours = window.image(image, np.zeros(3, np.uint8))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(window.label(label + np.uint8(1), 0), their_label)


@pytest.mark.parametrize("scaled", [(9, 13), (14, 40), (23, 34), (31, 52)])
def test_image_is_mirrored_first_and_then_cut(scaled):
    image, label = random_example(23, 34)
    crop_size = (12, 17)
    offset = tuple(max(0, size - crop - 1) for size, crop in zip(scaled, crop_size, strict=True))
    color = np.array([1, 2, 3], np.uint8)
    mirrored = Window(crop_size, scaled, offset, mirrored=True)
    window = Window(crop_size, scaled, offset, mirrored=False)
    expected = window.image(image[:, ::-1], color)
    # Halves are rounded up on either side.
    assert np.abs(mirrored.image(image, color).astype(int) - expected).max() <= 1
    assert not np.array_equal(window.image(image, color), expected)
    np.testing.assert_array_equal(
        mirrored.label(label, IGNORE), window.label(label[:, ::-1], IGNORE)
    )
