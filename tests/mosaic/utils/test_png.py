"""PNG files that other libraries read as what was written."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from mosaic.utils import png

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 1, 3), (5, 7), (5, 7, 3), (300, 5000, 3), (2500, 2000)]
)
def test_pixels_come_back(shape):
    picture = RNG.integers(0, 256, shape, np.uint8)
    content = png.encode(picture)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), picture)
    read = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read[..., ::-1] if len(shape) == 3 else read, picture)


def test_part_of_a_picture():
    whole = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    part = whole[3:17:2, 4:19]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png.encode(part)))), part)


def test_files_are_about_as_small_as_opencvs():
    rows = np.linspace(0, 200, 400)[:, np.newaxis, np.newaxis]
    noise = RNG.normal(0, 3, (400, 600, 3))
    picture = np.uint8(np.clip(rows + noise, 0, 255))
    labels = np.repeat(np.repeat(RNG.integers(0, 19, (20, 30), np.uint8), 20, 0), 20, 1)
    for content in picture, labels:
        _, other = cv2.imencode(".png", content)
        assert len(png.encode(content)) < 1.1 * len(other)
