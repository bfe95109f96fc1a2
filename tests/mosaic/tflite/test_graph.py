"""Graphs of convolutions: when two steps are the same, and the order of steps."""

import dataclasses

import pytest

from mosaic.tflite.graph import Convolution, Node, Pool, PoolRule, ancestors

CONVOLUTION = Convolution.of((3, 3), (8, 16), (1, 1), (2, 2), "valid")
SOURCE = Node("input", "images")
STEP = Node("conv", "x", (SOURCE,), CONVOLUTION, frozenset(("relu", "relu6")))
HALVES = PoolRule("halves", lambda size, axis: (size // 2, size // 2))


def test_a_convolution_of_one_pixel_has_neither_dilation_nor_padding():
    one = Convolution.of([1, 1], (8, 16), (1, 1), (2, 2), "valid")
    assert one == Convolution.of((1, 1), (8, 16), (1, 1), (1, 1), "same")


def test_a_larger_convolution_keeps_dilation_and_padding():
    assert CONVOLUTION.dilation == (2, 2)
    assert CONVOLUTION.padding == "valid"


def test_the_stride_of_a_single_window_says_nothing():
    assert Pool.of((4, 6), (4, 2), (1, 2)) == Pool.of((4, 6), (4, 2), (9, 2))
    assert Pool.of((4, 6), (4, 2), (1, 2)) != Pool.of((4, 6), (4, 2), (1, 4))


def test_steps_are_the_same_where_they_share_an_activation():
    assert STEP.fits(dataclasses.replace(STEP, name="y", options=frozenset(("relu6",))))
    assert not STEP.fits(dataclasses.replace(STEP, options=frozenset(("linear",))))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "depthwise"},
        {"inputs": (SOURCE, SOURCE)},
        {"shape": CONVOLUTION._replace(stride=(2, 2))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_steps_that_do_something_else_are_not_the_same(change):
    assert not STEP.fits(dataclasses.replace(STEP, **change))


def test_a_rule_of_pooling_fits_what_it_is_on_a_map():
    step = Node("pool", "x", (SOURCE,), HALVES)
    assert step.fits(Node("pool", "y", (SOURCE,), Pool.of((8, 12), (4, 6), (4, 6))))
    assert not step.fits(Node("pool", "y", (SOURCE,), Pool.of((8, 12), (2, 6), (2, 6))))


def test_a_rule_of_pooling_is_none_on_a_map_that_is_too_small():
    assert HALVES.on((1, 8)) is None


def test_each_step_comes_once_and_after_its_inputs():
    last = Node("add", "z", (STEP, SOURCE))
    assert ancestors((last, STEP)) == [SOURCE, STEP, last]
