"""One reading of a data set's files: what is yielded, counted and told."""

import cv2
import numpy as np

from data.image_files import Content, Pair
from data.label_map import LabelMap
from data.reading import Reading

MAP = LabelMap(("a", "b"), ((0, 0, 0), (9, 9, 9)), labels=(0, 1))
IMAGE = Content("x.png", cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].tobytes())
LABEL = Content("y.png", cv2.imencode(".png", np.ones((4, 6), np.uint8))[1].tobytes())


def _reading(*pairs):
    return Reading({"train": iter(pairs)}, MAP)


def test_whole_examples_are_yielded_and_counted_and_others_are_told():
    wrong = Pair("wrong", IMAGE, Content("z.png"))
    reading = _reading(Pair("good", IMAGE, LABEL), wrong, Pair("other", IMAGE, LABEL))
    assert [pair.id for pair, _, _ in reading.examples("train")] == ["good", "other"]
    assert reading.images == {"train": 3}
    assert reading.counts["train"].labels[1] == 2 * 24
    assert reading.problems() == ["z.png: empty; copy the file again"]


def test_what_is_left_is_read_once():
    reading = _reading(*(Pair(str(i), IMAGE, LABEL) for i in range(3)))
    next(reading.examples("train"))
    reading.finish()
    reading.finish()
    assert reading.images == {"train": 3}


def test_two_examples_of_one_name_are_told():
    reading = _reading(*[Pair("same", IMAGE, LABEL)] * 3)
    reading.finish()
    (line,) = reading.problems()
    assert line.startswith("x.png and 1 more: has the name of an example before it")
