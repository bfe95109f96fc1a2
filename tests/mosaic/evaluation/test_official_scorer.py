"""Our figures against those of Cityscapes' own scorer on the files that we write for it."""

import math

import cv2
import numpy as np
import pytest
import tensorflow as tf

from data.cityscapes import cityscapes
from mosaic.evaluation.evaluator import Origin, evaluate
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference.predictors import Predictor

SIZE = (32, 64)
COUNT = 4


def _write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The official tree; the second frame has nothing but void, and no frame has a train."""
    root = tmp_path_factory.mktemp("cityscapes")
    rng = np.random.default_rng(0)
    for split, city in (("train", "aachen"), ("val", "frankfurt")):
        for index in range(COUNT):
            name = f"{split}/{city}/{city}_{index:06}_000019"
            labels = np.kron(rng.integers(0, 34, (8, 16)), np.ones((4, 4))).astype(np.uint8)
            labels[labels == 31] = 26
            if index == 1:
                labels = labels % 4
            image = rng.integers(0, 256, (*SIZE, 3), np.uint8)
            _write(root / "leftImg8bit" / f"{name}_leftImg8bit.png", image)
            _write(root / "gtFine" / f"{name}_gtFine_labelIds.png", labels)
    return root


def _random(labels):
    return np.random.default_rng(1).integers(0, 19, labels.shape)


def _nearly_perfect(labels):
    answer = np.where(labels == 255, 3, labels)
    answer[:, ::5] = 0
    return answer


PREDICTIONS = {
    "random": _random,
    "perfect": lambda labels: np.where(labels == 255, 7, labels),
    "nearly perfect": _nearly_perfect,
    "one class": lambda labels: np.full(labels.shape, 2),
    "a class that never occurs": lambda labels: np.where(labels == 0, 16, _random(labels)),
    "a class that is never predicted": lambda labels: np.where(
        labels == 13, 0, _nearly_perfect(labels)
    ),
    "nothing": lambda labels: np.full(labels.shape, 255),
    "nothing here and there": lambda labels: np.where(_random(labels) < 4, 255, labels),
}


def _official(predictions, truths, capsys):
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official

    args = official.args
    args.quiet, args.evalInstLevelScore, args.JSONOutput = True, False, False
    result = official.evaluateImgLists(list(map(str, predictions)), list(map(str, truths)), args)
    capsys.readouterr()
    return result


def _difference(found, expected):
    """Of two scores; 0 where neither scorer has one, infinite where one has."""
    if found is None or math.isnan(expected):
        return 0.0 if found is None and math.isnan(expected) else math.inf
    return abs(found - expected)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_class_and_category_scores(tree, tmp_path, monkeypatch, kind, capsys, record_property):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "records"))
    dataset = cityscapes(str(tree))
    labels = [dataset.example("val", index)[1] for index in range(COUNT)]
    answers = iter([PREDICTIONS[kind](label[np.newaxis]) for label in labels])
    predictor = Predictor(
        lambda images: tf.constant(next(answers)), "tflite", None, None, True, False
    )
    submission = tmp_path / "submission"
    report = evaluate(
        predictor,
        dataset,
        Evaluation(protocol="cityscapes", batch_size=1, num_pictures=0),
        Origin("c"),
        str(tmp_path / "out"),
        submission_dir=str(submission),
    )
    predictions = sorted(submission.iterdir())
    truths = sorted((tree / "gtFine" / "val").rglob("*_labelIds.png"))
    assert [p.name for p in predictions] == [t.name.replace("_gtFine_labelIds", "") for t in truths]
    expected = _official(predictions, truths, capsys)
    pairs = {
        "mean": (report["mean_iou"], expected["averageScoreClasses"]),
        "mean of categories": (report["mean_category_iou"], expected["averageScoreCategories"]),
    }
    for kind_of, theirs in (("per_class_iou", "classScores"), ("categories", "categoryScores")):
        for name, value in report[kind_of].items():
            pairs[f"{kind_of} {name}"] = value, expected[theirs][name]
    differences = {name: _difference(*pair) for name, pair in pairs.items()}
    record_property("official_scores", float(max(differences.values())))
    assert not {name for name, value in differences.items() if value >= 1e-9}
