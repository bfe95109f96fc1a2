"""Progress as lines of a log."""

import re

import pytest

from mosaic.utils.progress import Progress


@pytest.mark.parametrize(
    ("total", "lines"),
    [
        (None, [r"predict: 1 image, \S+ image/s", r"predict: 2 image, \S+ image/s"]),
        (2, [r"predict: 1/2 image, \S+ image/s, \S+ left", r"predict: 2/2 image, .*00:00 left"]),
    ],
)
def test_progress(capsys, total, lines):
    with Progress(total, "predict", "image", interval=0.0) as bar:
        bar.update()
        bar.update()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(map(re.fullmatch, lines, said))


def test_lines_between_intervals_are_left_out(capsys):
    with Progress(3, "predict", "image", interval=3600.0) as bar:
        for _ in range(3):
            bar.update()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("predict: 3/3 image")


def test_figures_are_shown_as_they_are(capsys):
    with Progress(8, "train", "step", done=6, interval=0.0) as bar:
        bar.update(1, loss="0.25")
    assert capsys.readouterr().err.startswith("train: 7/8 step, loss 0.25, ")


def test_items_are_counted_when_they_are_done(capsys):
    with Progress(2, "read", "mask", interval=0.0) as bar:
        for number, item in enumerate(bar.over("ab")):
            assert item == "ab"[number]
            assert capsys.readouterr().err.startswith("read: 1/2" if number else "")
    assert capsys.readouterr().err.startswith("read: 2/2 mask")
