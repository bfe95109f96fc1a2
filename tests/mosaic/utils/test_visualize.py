"""Pictures of predictions."""

import io
import warnings

import numpy as np
import pytest

from mosaic.utils.class_names import Classes
from mosaic.utils.visualize import confusion_figure, legend, overlay, shrunk


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


NAMES = (
    "\u0434\u043e\u0440\u043e\u0433\u0430",
    "\u5efa\u7269",
    "a/b <i>&",
    "$x$ $",
    "\U0001f600",
    "caf\u00e9",
)


def test_names_in_any_script_are_drawn_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confusion_figure(np.eye(len(NAMES)), NAMES).savefig(io.BytesIO())
        strip = legend(400, range(len(NAMES)), Classes.named(NAMES))
    assert strip.shape[1:] == (400, 3)


def test_a_legend_has_letters_that_ascii_has_not():
    """Beside the patch, where question marks would look alike."""
    one, other = (
        legend(200, [0], Classes((name,), ((255, 0, 0),)))
        for name in ("\u0434\u043e\u043c", "\u043b\u0435\u0441")
    )
    assert one.min() < 100
    assert not np.array_equal(one, other)


def test_ascii_names_look_as_before():
    """Whatever other names there are."""
    names, colors = ("road", "\u0434\u043e\u043c"), ((255, 0, 0), (0, 0, 255))
    alone, mixed = (legend(300, shown, Classes(names, colors)) for shown in ([0], [0, 1]))
    width = 60
    np.testing.assert_array_equal(alone[:, :width], mixed[:, :width])
