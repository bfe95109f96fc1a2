"""Pictures of predictions."""

import numpy as np
import pytest

from mosaic.utils.class_names import Classes
from mosaic.utils.visualize import overlay, shrunk


def test_what_is_ignored_keeps_the_images_colours():
    """The label that a data set ignores is shown as the image, and no other is."""
    dataset = Classes(tuple("abc"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), ignore_label=200)
    image = np.full((1, 3, 3), 100, np.uint8)
    truth = np.array([[0, 200, 255]], np.uint8)
    picture = overlay(image, truth, np.array([[0, 1, 2]]), dataset)
    np.testing.assert_array_equal(picture[0, 3:6], [(193, 40, 40), (100,) * 3, (40,) * 3])


@pytest.mark.parametrize(("size", "expected"), [((30, 90), (20, 60)), ((40, 60), (40, 60))])
def test_wide_pictures_shrink(size, expected):
    picture = np.full((*size, 3), 7, np.uint8)
    found = shrunk(picture, 60)
    assert found.shape == (*expected, 3)
    assert np.all(found == 7)
