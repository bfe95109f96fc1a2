"""Both augmentations beside the Garden's parser: the same distributions on the same frame."""

import numpy as np
import pytest
import tensorflow as tf
from garden_frames import encoded
from official.vision.dataloaders import segmentation_input

from data.pipeline import Augment

FRAME, CROP, COUNT = (64, 128), (32, 64), 500
ROWS, COLUMNS = np.mgrid[: FRAME[0], : FRAME[1]].astype(np.uint8)
# A pixel tells its row, and its label its column.
IMAGE, LABEL = np.stack([4 * ROWS, 0 * ROWS, 0 * ROWS], -1), COLUMNS


def measured(row, label):
    """What was done to one frame.

    Args:
      row: row of the frame that each pixel is from, float [height, width].
      label: column of the frame that each pixel is from, 255 in the padding.
    """
    inside = label != 255
    height, width = inside[:, 0].sum(), inside[0].sum()
    columns = label[0, :width].astype(float)
    rows = row[:height, 0]
    is_mirrored = columns[-1] < columns[0]
    return {
        "scale": (width - 1) / abs(columns[-1] - columns[0]),
        "padded": not inside.all(),
        "void": 1.0 - inside.mean(),
        "mirrored": is_mirrored,
        "top": rows[0],
        "left": columns.min(),
    }


def of_garden(crop_first):
    tf.random.set_seed(1)
    parser = segmentation_input.Parser(
        output_size=[] if crop_first else list(CROP),
        crop_size=list(CROP) if crop_first else None,
        ignore_label=255,
        aug_rand_hflip=True,
        aug_scale_min=0.5,
        aug_scale_max=2.0,
    )
    frame = encoded(IMAGE, LABEL)
    frames = tf.data.Dataset.from_tensors(frame).repeat(COUNT).map(parser._parse_train_data)
    for image, truth in frames.as_numpy_iterator():
        row = (image[..., 0] * 58.395 + 123.675) / 4
        yield measured(row, truth["masks"][..., 0].astype(np.uint8))


def of_ours(crop_first):
    augment = Augment(CROP, (0.5, 2.0), crop_first=crop_first)
    frames = tf.data.Dataset.range(COUNT).map(
        lambda index: augment(tf.constant(IMAGE), tf.constant(LABEL), tf.stack([3, index]), 255)
    )
    for image, label in frames.as_numpy_iterator():
        yield measured(image[..., 0] / 4, label)


@pytest.mark.parametrize("crop_first", [False, True])
def test_distributions_are_those_of_the_garden(crop_first):
    ours, theirs = (
        {name: np.array([one[name] for one in found], float) for name in found[0]}
        for found in (list(of_ours(crop_first)), list(of_garden(crop_first)))
    )
    for name, values in ours.items():
        # Four standard errors of the difference of two means.
        error = np.sqrt((values.var() + theirs[name].var()) / COUNT)
        assert abs(values.mean() - theirs[name].mean()) <= 4 * error, name
        # The largest difference of two distributions of this many, once in ten thousand.
        both = np.sort(np.concatenate([values, theirs[name]]))
        steps = [np.searchsorted(np.sort(v), both, "right") / COUNT for v in (values, theirs[name])]
        assert np.abs(steps[0] - steps[1]).max() <= 0.14, name
    assert ours["padded"].mean() == pytest.approx(0.32, abs=0.06)
    if crop_first:
        assert ours["void"].mean() == pytest.approx(0.14, abs=0.03)


def test_a_window_is_cut_where_the_image_is_no_larger():
    augment = Augment((96, 64), (1.0, 1.0), flip=False, crop_first=True)
    image, label = augment(tf.constant(IMAGE), tf.constant(LABEL), tf.constant([3, 4]), 255)
    left = int(label[0, 0])
    np.testing.assert_array_equal(label[:64], LABEL[:, left : left + 64])
    np.testing.assert_array_equal(label[64:], 255)
    np.testing.assert_array_equal(image[:64], IMAGE[:, left : left + 64])
