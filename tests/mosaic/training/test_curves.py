"""A run's courses as a picture."""

import struct

import numpy as np
import pytest
from matplotlib.figure import Figure

from mosaic.training.curves import draw, running_mean


def entries(count, evaluations):
    losses = [
        {"step": 10 * i, "loss": 3.0 / (1 + i), "learning_rate": 0.1 * (1 - i / count)}
        for i in range(count)
    ]
    scores = [{"step": 10 * i, "mean_iou": i / (evaluations + 1)} for i in range(evaluations)]
    return losses + scores


@pytest.mark.parametrize(("count", "evaluations"), [(0, 0), (1, 0), (2, 2), (2000, 100)])
def test_it_is_drawn_with_few_points_as_with_many(tmp_path, count, evaluations):
    picture = tmp_path / "curves.png"
    draw(entries(count, evaluations), picture)
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (960, 720)
    assert not list(tmp_path.glob(".*"))


def test_a_single_evaluation_stands_at_its_step(tmp_path, monkeypatch):
    """The axis begins at 0 and has whole steps, not a tenth on either side of the only one."""
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, dpi: drawn.append((figure, path)))
    with pytest.raises(FileNotFoundError):  # nothing was saved
        draw([{"step": 20_000, "mean_iou": 0.0}], tmp_path / "curves.png")
    _, lower, _ = drawn[0][0].axes
    assert lower.get_xlim()[0] == 0
    drawn[0][0].canvas.draw()
    assert [t.get_text() for t in lower.get_xticklabels()][:3] == ["0", "5,000", "10,000"]


def test_losses_without_a_learning_rate_are_drawn(tmp_path):
    """Records of older runs may lack it."""
    draw([{"step": 1, "loss": 0.0}, {"step": 2, "loss": 0.0}], tmp_path / "curves.png")


def test_the_running_mean_takes_as_many_on_either_side():
    values = np.arange(120.0)
    np.testing.assert_allclose(running_mean(values), values)
    peak = np.zeros(121)
    peak[60] = 5.0
    found = running_mean(peak)
    assert found.sum() == pytest.approx(5.0)
    assert found.argmax() in range(58, 63) and found.max() == pytest.approx(1.0)
