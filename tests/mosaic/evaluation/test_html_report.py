"""The page of a report: what it says, that it is whole, and that it needs nothing else."""

import base64
import re

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mosaic.evaluation.evaluator import Origin, evaluate
from mosaic.evaluation.html_report import plain, points, render
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference.predictors import Predictor
from pages import PUBLISHED, Page, made_report, needs_nothing


def test_the_oldest_report_renders():
    """Only what every report.json has had: no verdict, published figure, settings or images."""
    page = needs_nothing(render(made_report()))
    assert page.texts("h1") == ["x/best_ckpt on drawn val"]
    assert page.texts("h2")[0] == "no published result to compare with"
    for figure in ("50.00 %", "80.00 %", "70.00 %", "60.00 %"):
        assert figure in page.texts("dd")
    assert "Best images" not in page.texts("h2")


@pytest.mark.parametrize(
    "status, tone",
    [
        ("reproduced", "good"),
        ("not reproduced", "bad"),
        ("not comparable", "doubtful"),
        ("otherwise", "neutral"),
    ],
)
def test_verdict(status, tone):
    departures = [{"setting": "flip", "here": True, "published": None}]
    verdict = {"status": status, "difference": -0.0213, "departures": departures}
    page = Page(render(made_report(verdict=verdict, published=PUBLISHED, difference=0.3)))
    (banner,) = [e for e in page.all("section") if "verdict" in (e.get("class") or "")]
    assert banner["class"] == f"verdict {tone}"
    text = " ".join(banner["text"].split())
    assert text.startswith(status)
    assert "50.00 % here, 52.00 % published: \N{MINUS SIGN}2.13 points" in text
    assert "Published as known: a paper" in text
    assert ["flip", "yes", "none"] in page.rows()


def test_what_is_not_known_is_told():
    verdict = {"status": "reproduced", "departures": [], "not_known": ["normalization", "stride"]}
    page = Page(render(made_report(verdict=verdict, published=PUBLISHED)))
    assert "Not known, and left out: normalization, stride" in page.texts("p")


def test_a_published_figure_without_a_verdict():
    page = Page(render(made_report(published=PUBLISHED, difference=-0.02)))
    assert page.texts("h2")[0] == "not judged"
    assert "\N{MINUS SIGN}2.00 points" in " ".join(page.texts("p"))


def test_classes_beside_the_published_ones():
    report = made_report(per_class_iou={"class 0": 0.25, "class 1": None, "class 2": 0.5})
    report["published"] = {**PUBLISHED, "per_class_iou": {"class 0": 0.375, "class 1": 0.1}}
    text = render(report)
    rows = {row[0]: row[2:5] for row in Page(text).rows() if len(row) == 6}
    assert rows["class 0"] == ["25.00", "37.50", "\N{MINUS SIGN}12.50"]
    assert rows["class 1"] == ["\N{EN DASH}", "10.00", "\N{EN DASH}"]
    assert rows["class 2"] == ["50.00", "\N{EN DASH}", "\N{EN DASH}"]
    assert 'style="width:25.00%"' in text
    assert 'style="left:37.50%"' in text


def test_categories_settings_and_command():
    report = made_report(
        categories={"vehicle": 0.915},
        settings={"scales": [0.5, 1.0], "flip": False, "size": None},
        command="python eval.py --gin_file='a b'",
    )
    page = Page(render(report))
    assert "91.50 %" in page.texts("dd")
    assert "vehicle" in page.texts("dt")
    for row in (["scales", "0.5, 1.0"], ["flip", "no"], ["size", "none"], ["split", "val"]):
        assert row in page.rows()
    assert page.texts("pre") == ["python eval.py --gin_file='a b'"]


def test_confusion_matrix():
    report = made_report(
        confusion_matrix=[[90, 10, 0], [0, 0, 0], [1, 0, 999]], other_answers=[100, 0, 0]
    )
    del report["per_class_iou"]["class 2"]
    page = Page(render(report))
    rows = {row[0]: row[1:] for row in page.rows() if len(row) == 5}
    assert rows["true \\ predicted"] == ["class 0", "class 1", "class 2", "no class"]
    assert rows["class 0"] == ["45", "5", "", "50"]
    assert rows["class 1"] == ["", "", "", ""]
    assert rows["class 2 (not counted)"] == ["", "", "100", ""]
    right, wrong = (e["class"] for e in page.all("td") if e["text"] in ("45", "50"))
    assert (right, wrong) == ("r3", "w3")
    # The largest confusions, of the counted classes only.
    found = [row for row in page.rows() if len(row) == 4 and row[1] in rows["true \\ predicted"]]
    assert found == [
        ["class 0", "no class", "50.00", "50.00"],
        ["class 0", "class 1", "5.00", "5.00"],
    ]


@pytest.mark.parametrize("count", [11, 19, 32, 150])
def test_any_number_of_classes(count):
    text = render(made_report(count))
    page = needs_nothing(text)
    assert len([row for row in page.rows() if len(row) == count + 1]) == count + 1
    assert len(text) < 2_000_000
    (overview,) = page.all("svg") if count > 40 else [None]
    assert overview is None or overview["viewbox"] == f"0 0 {count} {count}"


def test_tables_scroll_by_themselves():
    departures = [{"setting": "flip", "here": True, "published": False}]
    text = render(made_report(3, verdict={"status": "not comparable", "departures": departures}))
    page = Page(text)
    boxes = [e for e in page.all("div") if "scroll" in (e.get("class") or "")]
    assert all(table["inside"][-1] == "div" for table in page.all("table"))
    assert len(boxes) == len(page.all("table")) == 5
    assert ".scroll { overflow: auto" in text
    assert all(box["role"] == "region" and box["aria-label"] for box in boxes)
    assert all(box["tabindex"] == "0" for box in boxes)


def test_what_is_inserted_is_escaped():
    evil = "<script>alert('&')</script>\"><img src=http://x/>"
    report = made_report(
        class_names=[evil, "class 1", "class 2"],
        per_class_iou={evil: 0.1, "class 1": 0.2, "class 2": 0.3},
        checkpoint=evil,
        command=evil,
        dataset=evil,
        settings={evil: evil},
        categories={evil: 0.5},
        published={"key": evil, "mean_iou": 0.5, "source": evil},
        verdict={
            "status": evil,
            "difference": None,
            "departures": [{"setting": evil, "here": evil, "published": [evil]}],
        },
    )
    text = render(report)
    page = needs_nothing(text)
    assert not page.all("img")
    assert evil not in text
    assert page.texts("pre") == [evil]


def test_light_and_dark():
    text = render(made_report())
    light, dark = re.findall(r":root \{(.*?)\}", text, re.S)
    assert text.index(dark) > text.index("@media (prefers-color-scheme: dark)") > text.index(light)
    names = [set(re.findall(r"(--[\w-]+):", part)) for part in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--[a-z-]+\d?)\)", text)) <= names[0]
    assert '<meta name="viewport" content="width=device-width' in text


def test_numbers_for_people():
    assert points(0.0125) == "+1.25"
    assert points(-0.0125) == "\N{MINUS SIGN}1.25"
    assert points(None) == "\N{EN DASH}"
    assert plain((1024, None)) == "1024, none"
    assert plain(True) == "yes"
    assert plain(0) == "0"
    assert plain({"a": 1}) == '{"a": 1}'


# Images of a split.


def _noisy(drawn):
    """Answers that are wrong more often from image to image, and a class that is none."""
    rng = np.random.default_rng(0)
    answers = np.where(drawn.labels == 255, 0, drawn.labels).astype(np.int32)
    for index, answer in enumerate(answers):
        answer[rng.random(answer.shape) < 0.08 * ((index * 2) % 5)] = 7
    place = {"at": 0}

    def run(images):
        start = place["at"]
        place["at"] += len(images)
        return tf.constant(answers[start : place["at"]])

    return Predictor(run, "tflite", None, traceable=False), answers


@pytest.mark.parametrize("batch_size", [1, 3])
def test_images_have_their_own_figures(drawn, tmp_path, batch_size):
    predictor, answers = _noisy(drawn)
    evaluation = Evaluation(batch_size=batch_size, num_best_and_worst=2)
    report = evaluate(predictor, drawn, evaluation, Origin("c"), str(tmp_path))
    assert [image["id"] for image in report["images"]] == [f"val_{i}" for i in range(5)]
    total = np.zeros((3, 4), np.int64)
    for image, truth, answer in zip(report["images"], drawn.labels, answers):
        matrix = np.zeros((3, 4), np.int64)
        counted = truth != 255
        np.add.at(matrix, (truth[counted], np.minimum(answer[counted], 3)), 1)
        total += matrix
        ious = []
        for index in range(3):
            union = matrix[index].sum() + matrix[:, index].sum() - matrix[index, index]
            ious += [matrix[index, index] / union] if union else []
        assert image["mean_iou"] == pytest.approx(np.mean(ious), rel=1e-12)
    assert report["confusion_matrix"] == total[:, :3].tolist()
    assert report["other_answers"] == total[:, 3].tolist()
    # Wrong answers: 0, 16, 32, 8 and 24 % of the pixels.
    text = (tmp_path / "report.html").read_text()
    headings = [text for text in Page(text).texts("h3") if text.startswith("val_")]
    assert [heading.split(":")[0] for heading in headings] == ["val_2", "val_4", "val_0", "val_3"]


def test_pictures_are_inside_the_page(drawn, tmp_path):
    predictor, answers = _noisy(drawn)
    evaluate(predictor, drawn, Evaluation(num_best_and_worst=1), Origin("c"), str(tmp_path))
    page = needs_nothing((tmp_path / "report.html").read_text())
    worst = page.all("img")[:3]
    assert len(page.all("img")) == 6
    assert all(
        picture["alt"] and (picture["width"], picture["height"]) == ("96", "64")
        for picture in worst
    )
    encoded = [base64.b64decode(e["src"].split(",")[1]) for e in worst]
    image, truth, predicted = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for data in encoded
    )
    colors = np.zeros((256, 3), np.uint8)
    colors[:3] = drawn.colors
    np.testing.assert_array_equal(truth, colors[drawn.labels[2]])
    np.testing.assert_array_equal(predicted, colors[answers[2]])
    # Noise in blocks of 8 pixels survives JPEG but for its edges.
    assert np.mean(np.abs(image.astype(int) - drawn.images[2])) < 12
    legend = {e["text"] for e in page.all("li")}
    assert {"dark", "bright", "not labelled, or no class"} <= legend
    assert "absent" not in legend
