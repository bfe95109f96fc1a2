"""Settings: what an annotation takes, and what is told of a value that is none of it."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import pytest

from mosaic.utils import settings
from mosaic.utils.errors import UserError

COUNT = Annotated[int, settings.AT_LEAST_1]
RATE = Annotated[float, settings.AT_LEAST_0]
WEIGHTS = Sequence[RATE]
SIZE = Annotated[Sequence[int], settings.SIZE]


class Made:
    """Stands for what gin builds."""


@pytest.mark.parametrize(
    "value, hint",
    [
        (3, int),
        (np.int64(3), COUNT),
        (3, float),
        (np.float32(0.5), RATE),
        (False, bool),
        ("x", str),
        (None, int | None),
        (1, COUNT | None),
        ((1, 2.5), WEIGHTS),
        ([], WEIGHTS),
        (np.ones(3), WEIGHTS),
        ((96, 128), SIZE),
        (["a"], str | Sequence[str]),
        (Made(), Made),
        (None, Made | None),
        (object(), Any),
        (3, Any),
        (0.1, Made | RATE),
    ],
)
def test_what_is_taken(value, hint):
    assert settings.problem(value, hint) is None


@pytest.mark.parametrize(
    "value, hint, says",
    [
        (True, int, "a whole number"),
        (2.5, COUNT, "a whole number, at least 1"),
        ("3", COUNT, "a whole number, at least 1"),
        (0, COUNT, "at least 1"),
        (0, COUNT | None, "at least 1"),
        ("a", COUNT | None, "a whole number, at least 1, or None"),
        (float("nan"), float, "a number"),
        (float("inf"), float, "a number"),
        (10**400, float, "a number"),
        (True, float, "a number"),
        ("true", bool, "True or False"),
        (1, bool, "True or False"),
        (5, str | None, "text or None"),
        (0.5, WEIGHTS, "values in brackets, each a number, at least 0"),
        ((1, -1), WEIGHTS, "values in brackets, each a number, at least 0"),
        ("12", WEIGHTS, "values in brackets, each a number, at least 0"),
        (96, SIZE, settings.SIZE.says),
        ((96,), SIZE, settings.SIZE.says),
        ((0, 96), SIZE, settings.SIZE.says),
        ((96.5, 96), SIZE, settings.SIZE.says),
        ("mosaic", Made, "a reference such as @NAME()"),
        (None, Made, "a reference such as @NAME()"),
        (3, Made | None, "a reference such as @NAME() or None"),
    ],
)
def test_what_is_not_taken(value, hint, says):
    assert settings.problem(value, hint) == says


def test_ranges_of_others_count():
    class Even:
        says = "even"

        @staticmethod
        def check(value):
            return value % 2 == 0

    assert settings.problem(3, Annotated[int, "a note", Even]) == "even"
    assert settings.problem(2, Annotated[int, "a note", Even]) is None


def test_arguments_are_checked_by_the_function_that_got_them():
    def scale(factor: RATE, name: str = "x"):
        settings.check_arguments(scale, locals())

    scale(0.5)
    with pytest.raises(UserError, match=r"^scale\.factor = -1: it must be at least 0$"):
        scale(-1)
    with pytest.raises(UserError, match=r"^scale\.name = 3: it must be text$"):
        scale(1, name=3)


def test_a_long_value_is_cut():
    assert len(settings.told("x", list(range(1000)), "one")) < 120
