"""What looks at the images of an evaluation: their scores, overlays and files for scorers."""

import cv2
import numpy as np
import pytest

from mosaic.evaluation import loop
from mosaic.evaluation.observers import ImageScores, Overlays, Submission


def right(images, labels):
    """Predicts the truth, and the first class where there is none."""
    return labels % 255


def test_the_score_of_every_image(drawn):
    scores = ImageScores()
    loop.run(right, drawn, "val", [scores])
    assert scores.entries == [{"id": f"val_{index}", "mean_iou": 1.0} for index in range(5)]


@pytest.mark.parametrize(("count", "names"), [(1, [0]), (3, [0, 2, 4]), (9, [0, 1, 2, 3, 4])])
def test_overlays_of_images_evenly_spread(drawn, tmp_path, count, names):
    loop.run(right, drawn, "val", [Overlays(tmp_path, count, 5, drawn)])
    assert sorted(path.stem for path in tmp_path.glob("*.png")) == [f"val_{n}" for n in names]


def test_submitted_predictions_have_the_values_of_label_files(drawn, tmp_path):
    loop.run(right, drawn, "val", [Submission(str(tmp_path), drawn)])
    found = cv2.imread(str(tmp_path / "val_2.png"), cv2.IMREAD_UNCHANGED)
    expected = np.array(drawn.label_values)[drawn.labels[2] % 255]
    np.testing.assert_array_equal(found, expected)


def test_submitted_predictions_of_no_class_are_0(drawn, tmp_path):
    loop.run(
        lambda images, labels: labels * 0 + 3, drawn, "val", [Submission(str(tmp_path), drawn)]
    )
    assert not cv2.imread(str(tmp_path / "val_0.png"), cv2.IMREAD_UNCHANGED).any()
