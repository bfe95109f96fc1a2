"""The evaluator: figures, settings and pictures of a report."""

import json
import re

import cv2
import numpy as np
import pytest
import tensorflow as tf

from answers import dark, threshold
from data.class_map import ClassMap
from mosaic.evaluation import answer_warnings
from mosaic.evaluation.evaluator import Origin, _settings, evaluate
from mosaic.evaluation.protocols import Evaluation
from mosaic.evaluation.report_table import table
from mosaic.inference.predictors import Predictor, of_network
from mosaic.utils.errors import UserError


def test_a_perfect_network_scores_one(drawn, tmp_path):
    report = evaluate(threshold, drawn, Evaluation(), Origin("here"), str(tmp_path))
    assert report["mean_iou"] == 1.0
    assert report["per_class_iou"] == {"dark": 1.0, "bright": 1.0, "absent": None}
    assert report["num_images"] == 5
    assert report["checkpoint"] == "here"
    assert report["num_pixels"] == 5 * 60 * 96


def test_the_report_is_what_was_returned(drawn, tmp_path):
    report = evaluate(dark, drawn, Evaluation(), Origin("c"), str(tmp_path))
    assert json.loads((tmp_path / "report.json").read_text()) == report
    share = np.mean(drawn.labels[drawn.labels < 255] == 0)
    assert report["per_class_iou"]["dark"] == pytest.approx(share)
    assert report["mean_iou"] == pytest.approx(share / 2)


@pytest.mark.parametrize(("predictor", "told"), [(dark, True), (threshold, False)])
def test_one_class_everywhere_is_told(drawn, tmp_path, capsys, predictor, told):
    evaluate(predictor, drawn, Evaluation(), Origin("c"), str(tmp_path))
    assert ("warning: 'dark' is predicted everywhere" in capsys.readouterr().err) == told


@pytest.mark.parametrize(
    ("others", "told"),
    [
        (0, "'a' is predicted everywhere"),
        (2, "'a' is predicted everywhere but on 0.02 % of the pixels"),
        (2e-5, "'a' is predicted everywhere but on less than 0.01 % of the pixels"),
    ],
)
def test_a_few_other_answers_are_counted(others, told):
    matrix = np.array([[9000, 0], [1000 - others, others]])
    matrix = np.int64(1e6 * matrix)
    assert answer_warnings.only_answer(matrix, ["a", "b"]) == told


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_figures_do_not_depend_on_the_batch_size(drawn, tmp_path, batch_size, small_network):
    network = of_network(small_network)
    report = evaluate(network, drawn, Evaluation(batch_size=batch_size), Origin("c"), str(tmp_path))
    one = evaluate(network, drawn, Evaluation(batch_size=3), Origin("c"), str(tmp_path))
    assert report["confusion_matrix"] == one["confusion_matrix"]


def test_pictures(drawn, tmp_path):
    evaluate(threshold, drawn, Evaluation(num_pictures=2), Origin("c"), str(tmp_path))
    overlays = sorted((tmp_path / "overlays").iterdir())
    assert [path.name for path in overlays] == ["val_0.png", "val_4.png"]
    picture = cv2.imread(str(overlays[0]))
    assert picture.shape[1] == 3 * 96
    assert picture.shape[0] > 64
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None


def test_difference_from_the_published_figure(drawn, tmp_path):
    evaluation = Evaluation(published="mosaic_cityscapes")
    report = evaluate(threshold, drawn, evaluation, Origin("c"), str(tmp_path))
    assert report["published"]["mean_iou"] == 0.7724
    assert report["difference"] == pytest.approx(1 - 0.7724)
    assert report["verdict"]["status"] == "not comparable"
    assert {
        "setting": "num_images",
        "here": 5,
        "published": 500,
    } in report["verdict"]["departures"]
    assert "not comparable (+22.76 points" in table(report)


def test_settings_of_the_figure(drawn, tmp_path):
    evaluation = Evaluation(flip=True)
    report = evaluate(
        threshold, drawn, evaluation, Origin("c", network={"output_stride": 8}), str(tmp_path)
    )
    assert report["mean_iou"] == 1.0
    settings = report["settings"]
    assert settings["flip"] is True
    assert settings["output_stride"] == 8
    assert settings["input_size"] == settings["truth_size"] == [64, 96]
    assert settings["overlap"] is settings["padding"] is None
    assert settings["labels_first"] is False


def test_settings_of_windows_padding_and_labels(drawn):
    def settings(predictor, **arguments):
        return _settings({"num_images": 5}, predictor, None, drawn, Evaluation(**arguments), {})

    assert settings(threshold, window=(32, 32), overlap=0.25)["overlap"] == 0.25
    padded = settings(threshold, padded_size=(64, 96), padding=(1, 2, 3))
    assert padded["padding"] == [1, 2, 3]
    assert (
        settings(threshold, padded_size=(64, 96), argmax_before_resize=True)["labels_first"]
        is False
    )
    assert settings(threshold, argmax_before_resize=True)["labels_first"] is True
    assert settings(dark)["labels_first"] is True


def test_the_size_of_the_figure_is_what_the_model_gets(drawn, tmp_path):
    """Not the padded size of the experiment, where a file has but one."""
    file = Predictor(threshold.run, "tflite", 3, (32, 48))
    padded = Evaluation(padded_size=(64, 96))
    for predictor, size in ((file, [32, 48]), (threshold, [64, 96])):
        report = evaluate(predictor, drawn, padded, Origin("c"), str(tmp_path))
        assert report["settings"]["input_size"] == size
        assert report["settings"]["padded"]


def test_figures_of_quantized_files_are_compared_with_their_own(drawn, tmp_path):
    evaluation = Evaluation(published="deeplabv3_ade20k_top31")
    for numbers, published in (("uint8", 0.5483), ("int8", 0.5469), ("float32", 0.5528)):
        report = evaluate(
            threshold, drawn, evaluation, Origin("c", network={"numbers": numbers}), str(tmp_path)
        )
        assert report["published"]["mean_iou"] == published
        assert report["difference"] == pytest.approx(1 - published)
        assert "numbers" not in [entry["setting"] for entry in report["verdict"]["departures"]]


def test_table_has_every_class_and_the_mean(drawn, tmp_path):
    text = table(evaluate(dark, drawn, Evaluation(baselines=True), Origin("c"), str(tmp_path)))
    for word in ("dark", "bright", "absent", "mean IoU", "colour lookup", "constant"):
        assert word in text


def test_baselines_need_training_images(drawn, tmp_path):
    dataset = type(drawn)()
    dataset.splits = ("val",)
    with pytest.raises(UserError, match="drawn has none here"):
        evaluate(dark, dataset, Evaluation(baselines=True), Origin("c"), str(tmp_path))


def test_class_map(drawn, tmp_path):
    """Classes of the network mean others of the data set, or none."""
    swapped = Evaluation(class_map=(1, 0, -1))
    report = evaluate(threshold, drawn, swapped, Origin("c"), str(tmp_path))
    assert report["per_class_iou"] == {"dark": 0.0, "bright": 0.0, "absent": None}
    none = evaluate(threshold, drawn, Evaluation(class_map=(-1, 1, -1)), Origin("c"), str(tmp_path))
    # Answers without a meaning are misses of the true class and false positives of none.
    assert none["per_class_iou"] == {"dark": 0.0, "bright": 1.0, "absent": None}
    assert none["other_answers"] == [np.sum(drawn.labels == 0), 0, 0]


def test_answers_beyond_the_classes_are_wrong(drawn, tmp_path):
    beyond = Predictor(lambda images: tf.fill(tf.shape(images)[:3], 7), "tflite", None)
    report = evaluate(beyond, drawn, Evaluation(), Origin("c"), str(tmp_path))
    assert report["mean_iou"] == 0.0
    assert sum(report["other_answers"]) == report["num_pixels"]


def test_mlperfs_protocol(drawn, tmp_path):
    """Against a count by definition: what is not labelled makes no false positives."""
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 3, drawn.labels.shape)
    truth = np.where(drawn.labels == 255, 2, drawn.labels)

    class Other:
        """Class 0 is `other`."""

        class_names, colors = ("other", "dark", "bright"), drawn.colors
        name, ignore_label, num_classes, image_size = "drawn", 255, 3, None
        num_images, image_id = drawn.num_images, drawn.image_id
        categories, label_values = (), (0, 1, 2)

        def eval_batches(self, split, batch_size):
            labels = ((truth + 1) % 3).astype(np.uint8)
            return tf.data.Dataset.from_tensors((drawn.images, labels))

    random = Predictor(lambda images: tf.constant((answers + 1) % 3), "tflite", None)
    evaluation = Evaluation(protocol="mlperf_ade20k_top31")
    report = evaluate(random, Other(), evaluation, Origin("c"), str(tmp_path))
    expected = {}
    for index, name in enumerate(("dark", "bright")):
        hits = np.sum((answers == index) & (truth == index))
        false = np.sum((answers == index) & (truth != index) & (truth < 2))
        missed = np.sum((answers != index) & (truth == index))
        expected[name] = hits / (hits + false + missed)
    assert report["per_class_iou"] == pytest.approx(expected, rel=1e-12)
    assert report["mean_iou"] == pytest.approx(np.mean(list(expected.values())), rel=1e-12)


def test_predictions_of_no_class_are_told_with_their_fraction(drawn, tmp_path, capsys):
    """As a network of other classes gives them, whose file does not name them."""
    other = Predictor(lambda images: tf.zeros(tf.shape(images)[:3], tf.int32) + 7, "tflite", None)
    evaluate(other, drawn, Evaluation(), Origin("c"), str(tmp_path))
    assert "warning: 100 % of the predictions are no class of drawn" in capsys.readouterr().err
    evaluate(other, drawn, Evaluation(class_map=(0,) * 8), Origin("c"), str(tmp_path))
    evaluate(threshold, drawn, Evaluation(), Origin("c"), str(tmp_path))
    assert "no class" not in capsys.readouterr().err


def test_a_mean_over_some_of_the_classes_says_how_many(drawn, tmp_path):
    report = evaluate(threshold, drawn, Evaluation(), Origin("c"), str(tmp_path))
    assert report["num_classes_that_occur"] == 2
    assert "mean IoU" in (line := table(report).splitlines()[-1])
    assert line.endswith("100.00   (2 of 3 classes occur)")


def test_classes_without_an_answer_are_marked(drawn, tmp_path):
    class_map = ClassMap((1, -1, -1))
    class_map.name = "bright_only"
    report = evaluate(threshold, drawn, Evaluation(class_map=class_map), Origin("c"), str(tmp_path))
    assert report["unanswerable_classes"] == ["dark", "absent"]
    assert report["mean_iou_answerable"] == report["per_class_iou"]["bright"]
    assert report["settings"]["class_map"] == "bright_only"
    text = table(report)
    assert re.search(r"dark .* no answer", text) and not re.search(r"bright .* no answer", text)
    assert "(without 2 it has no answer for)" in text
    page = (tmp_path / "report.html").read_text()
    assert page.count("(no answer)") == 2 and "no answer of the network stands for" in page
    assert "<dt>mean IoU without 2 it has no answer for</dt>" in page


def test_a_network_with_the_classes_of_the_data_lacks_none(drawn, tmp_path):
    report = evaluate(threshold, drawn, Evaluation(), Origin("c"), str(tmp_path))
    assert "unanswerable_classes" not in report and "no answer" not in table(report)
