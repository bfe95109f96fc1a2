"""The pages for people: what they say, that they are whole, and that they need nothing else."""

import base64
import html.parser
import json
import pathlib
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mosaic.evaluation import metrics
from mosaic.evaluation.best_and_worst import Extremes
from mosaic.evaluation.evaluator import Evaluation, evaluate
from mosaic.evaluation.html_comparison import compare, find, read
from mosaic.evaluation.html_report import plain, points, render
from mosaic.inference.predictors import Predictor
from mosaic.utils.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[3]
VOID = {"meta", "img", "br", "link", "input", "hr", "path"}


class Page(html.parser.HTMLParser):
    """Elements of a page in order, with their attributes and text; fails on crossed tags."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        assert not self._open, [e["tag"] for e in self._open]

    def handle_starttag(self, tag, attributes):
        inside = [e["tag"] for e in self._open]
        element = {"tag": tag, "text": "", "inside": inside, **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, *tags):
        return [e for e in self.elements if e["tag"] in tags]

    def texts(self, *tags):
        return [" ".join(e["text"].split()) for e in self.all(*tags)]

    def rows(self):
        """Cells of each table row."""
        rows = []
        for element in self.all("tr", "th", "td"):
            if element["tag"] == "tr":
                rows.append([])
            else:
                rows[-1].append(" ".join(element["text"].split()))
        return rows


def _report(count=3, **more):
    """A report of `count` classes whose names are of no other use."""
    rng = np.random.default_rng(count)
    names = [f"class {index}" for index in range(count)]
    matrix = rng.integers(1, 9, (count, count)) + 100 * np.eye(count, dtype=int)
    return {
        "mean_iou": 0.5,
        "per_class_iou": dict(zip(names, metrics.iou(matrix).tolist())),
        "pixel_accuracy": 0.8,
        "mean_accuracy": 0.7,
        "frequency_weighted_iou": 0.6,
        "num_images": 4,
        "num_pixels": int(matrix.sum()),
        "protocol": "plain",
        "dataset": "drawn",
        "split": "val",
        "checkpoint": "runs/x/best_ckpt",
        "class_names": names,
        "confusion_matrix": matrix.tolist(),
        "other_answers": [0] * count,
        **more,
    }


PUBLISHED = {"key": "known", "mean_iou": 0.52, "source": "a paper"}


def _needs_nothing(text):
    """Checks that a page loads nothing but what is inside it, and runs no script."""
    page = Page(text)
    assert not page.all("script", "link", "iframe", "object", "embed", "base")
    for element in page.elements:
        assert not [name for name in element if name.startswith("on")]
        for name in ("src", "srcset", "href", "data", "action", "poster", "xlink:href"):
            value = element.get(name) or ""
            assert value == "" or value.startswith(("data:image/", "#")), (element["tag"], value)
    styles = "".join(page.texts("style")) + "".join(e.get("style") or "" for e in page.elements)
    assert "url(" not in styles and "@import" not in styles
    ids = [e["id"] for e in page.elements if "id" in e]
    assert len(ids) == len(set(ids))
    assert {e["href"][1:] for e in page.all("a")} <= set(ids)
    return page


def test_the_oldest_report_renders():
    """Only what every report.json has had: no verdict, published figure, settings or images."""
    page = _needs_nothing(render(_report()))
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
    page = Page(render(_report(verdict=verdict, published=PUBLISHED, difference=0.3)))
    (banner,) = [e for e in page.all("section") if "verdict" in (e.get("class") or "")]
    assert banner["class"] == f"verdict {tone}"
    text = " ".join(banner["text"].split())
    assert text.startswith(status)
    assert "50.00 % here, 52.00 % published: \N{MINUS SIGN}2.13 points" in text
    assert "Published as known: a paper" in text
    assert ["flip", "yes", "none"] in page.rows()


def test_what_is_not_known_is_told():
    verdict = {"status": "reproduced", "departures": [], "not_known": ["normalization", "stride"]}
    page = Page(render(_report(verdict=verdict, published=PUBLISHED)))
    assert "Not known, and left out: normalization, stride" in page.texts("p")


def test_a_published_figure_without_a_verdict():
    page = Page(render(_report(published=PUBLISHED, difference=-0.02)))
    assert page.texts("h2")[0] == "not judged"
    assert "\N{MINUS SIGN}2.00 points" in " ".join(page.texts("p"))


def test_classes_beside_the_published_ones():
    report = _report(per_class_iou={"class 0": 0.25, "class 1": None, "class 2": 0.5})
    report["published"] = {**PUBLISHED, "per_class_iou": {"class 0": 0.375, "class 1": 0.1}}
    text = render(report)
    rows = {row[0]: row[2:5] for row in Page(text).rows() if len(row) == 6}
    assert rows["class 0"] == ["25.00", "37.50", "\N{MINUS SIGN}12.50"]
    assert rows["class 1"] == ["\N{EN DASH}", "10.00", "\N{EN DASH}"]
    assert rows["class 2"] == ["50.00", "\N{EN DASH}", "\N{EN DASH}"]
    assert 'style="width:25.00%"' in text and 'style="left:37.50%"' in text


def test_categories_settings_and_command():
    report = _report(
        categories={"vehicle": 0.915},
        settings={"scales": [0.5, 1.0], "flip": False, "size": None},
        command="python eval.py --gin_file='a b'",
    )
    page = Page(render(report))
    assert "91.50 %" in page.texts("dd") and "vehicle" in page.texts("dt")
    for row in (["scales", "0.5, 1.0"], ["flip", "no"], ["size", "none"], ["split", "val"]):
        assert row in page.rows()
    assert page.texts("pre") == ["python eval.py --gin_file='a b'"]


def test_confusion_matrix():
    report = _report(
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
    text = render(_report(count))
    page = _needs_nothing(text)
    assert len([row for row in page.rows() if len(row) == count + 1]) == count + 1
    assert len(text) < 2_000_000
    (overview,) = page.all("svg") if count > 40 else [None]
    assert overview is None or overview["viewbox"] == f"0 0 {count} {count}"


def test_tables_scroll_by_themselves():
    departures = [{"setting": "flip", "here": True, "published": False}]
    text = render(_report(3, verdict={"status": "not comparable", "departures": departures}))
    page = Page(text)
    boxes = [e for e in page.all("div") if "scroll" in (e.get("class") or "")]
    assert all(table["inside"][-1] == "div" for table in page.all("table"))
    assert len(boxes) == len(page.all("table")) == 5 and ".scroll { overflow: auto" in text
    assert all(box["role"] == "region" and box["aria-label"] for box in boxes)
    assert all(box["tabindex"] == "0" for box in boxes)


def test_what_is_inserted_is_escaped():
    evil = "<script>alert('&')</script>\"><img src=http://x/>"
    report = _report(
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
    page = _needs_nothing(text)
    assert not page.all("img")
    assert evil not in text and page.texts("pre") == [evil]


def test_light_and_dark():
    text = render(_report())
    light, dark = re.findall(r":root \{(.*?)\}", text, re.S)
    assert text.index(dark) > text.index("@media (prefers-color-scheme: dark)") > text.index(light)
    names = [set(re.findall(r"(--[\w-]+):", part)) for part in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--[a-z-]+\d?)\)", text)) <= names[0]
    assert '<meta name="viewport" content="width=device-width' in text


def test_numbers_for_people():
    assert points(0.0125) == "+1.25" and points(-0.0125) == "\N{MINUS SIGN}1.25"
    assert points(None) == "\N{EN DASH}"
    assert plain((1024, None)) == "1024, none" and plain(True) == "yes" and plain(0) == "0"
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
    evaluation = Evaluation(batch_size=batch_size, num_extremes=2)
    report = evaluate(predictor, drawn, evaluation, "c", str(tmp_path))
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
    evaluate(predictor, drawn, Evaluation(num_extremes=1), "c", str(tmp_path))
    page = _needs_nothing((tmp_path / "report.html").read_text())
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
    assert {"dark", "bright", "not labelled, or no class"} <= legend and "absent" not in legend


def _extremes(values, count, drawn):
    extremes = Extremes(count, len(values), drawn)
    for index, value in enumerate(values):
        if extremes.takes(value):
            at = index % len(drawn.images)
            truth = drawn.labels[at]
            extremes.add(str(index), value, drawn.images[at], truth, truth)
    return [e.name for e in extremes.best], [e.name for e in extremes.worst]


@pytest.mark.parametrize(
    "values, count, best, worst",
    [
        ([0.3, 0.1, 0.9, 0.5, 0.7, 0.2], 2, "24", "15"),
        ([0.5] * 6, 2, "01", "54"),
        ([0.3, 0.1, 0.9, 0.5, 0.7], 4, "24", "103"),
        ([0.3, None, None, None], 2, "", "0"),
        ([0.3], 4, "", "0"),
        ([0.3, 0.4], 0, "", ""),
    ],
)
def test_best_and_worst(drawn, values, count, best, worst):
    assert _extremes(values, count, drawn) == (list(best), list(worst))


def test_pictures_are_of_a_sensible_size(drawn):
    extremes = Extremes(1, 2, drawn)
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 255, (64, 128, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    labels = (image[..., 0] > 127).astype(np.int32)
    extremes.add("large", 0.5, image, labels, labels)
    (example,) = extremes.worst
    assert example.size == (280, 560)
    assert len(example.image + example.truth + example.predicted) < 300_000


# Several reports.


@pytest.fixture
def runs(tmp_path):
    """Folders of three runs: report.json in the folder, in eval/, and under another name."""
    reports = {
        "a": _report(mean_iou=0.41, settings={"LEARNING_RATE": 0.1, "flip": True}, command="first"),
        "b/eval": _report(mean_iou=0.62, settings={"LEARNING_RATE": 0.2, "flip": True}),
        "c": _report(mean_iou=0.53),
    }
    reports["a"]["per_class_iou"] = {"class 0": 0.9, "class 1": 0.2, "class 2": None}
    reports["b/eval"]["per_class_iou"] = {"class 0": 0.8, "class 1": 0.2, "class 3": 0.1}
    reports["c"]["per_class_iou"] = {"class 0": 0.7, "class 1": 0.2, "class 2": 0.4}
    reports["a"]["verdict"] = {
        "status": "not comparable",
        "difference": -0.11,
        "departures": [{"setting": "split", "here": "val", "published": "test"}],
    }
    reports["a"]["published"] = PUBLISHED
    for name, report in reports.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "report.json").write_text(json.dumps(report))
    return [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "c" / "report.json")]


def test_compare(runs, tmp_path):
    summary = compare(runs, str(tmp_path / "out"))
    assert [line.split() for line in summary.splitlines()][1][:2] == ["b", "62.00"]
    text = (tmp_path / "out" / "compare.html").read_text()
    page = _needs_nothing(text)
    rows = {row[0]: row[1:] for row in page.rows()}
    assert rows["IoU, %"] == ["a", "b", "c"]
    assert rows["mean IoU"] == ["41.00", "62.00 best", "53.00"]
    assert rows["class 0"] == ["90.00 best", "80.00", "70.00"]
    assert rows["class 1"] == ["20.00"] * 3
    assert rows["class 2"] == ["\N{EN DASH}", "\N{EN DASH}", "40.00"]
    assert rows["class 3"] == ["\N{EN DASH}", "10.00", "\N{EN DASH}"]
    assert rows["verdict"][0] == "not comparable"
    assert rows["split"] == ["val"] * 3
    assert page.texts("pre")[0] == "first"
    assert "these runs are not of the same thing" not in text


def test_settings_that_differ_come_first_and_are_marked(runs, tmp_path):
    compare(runs, str(tmp_path))
    page = Page((tmp_path / "compare.html").read_text())
    marked = [e["text"].split()[0] for e in page.all("tr") if e.get("class") == "differs"]
    assert marked == ["LEARNING_RATE", "flip"]
    rows = {row[0]: row[1:] for row in page.rows()}
    assert rows["LEARNING_RATE differs"] == ["0.1", "0.2", "not recorded"]
    assert rows["flip differs"] == ["yes", "yes", "not recorded"]


def test_runs_of_different_things_are_told_apart(runs, tmp_path):
    report = json.loads(pathlib.Path(runs[2]).read_text())
    pathlib.Path(runs[2]).write_text(json.dumps({**report, "split": "test", "num_images": 9}))
    compare(runs, str(tmp_path))
    assert "They differ in split, num_images" in (tmp_path / "compare.html").read_text()


def test_find(runs, tmp_path):
    assert find(runs[0]) == str(tmp_path / "a" / "report.json")
    assert find(runs[1]) == str(tmp_path / "b" / "eval" / "report.json")
    assert find(runs[2]) == runs[2]


def test_find_without_a_report(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        find(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"no report.json or eval/report.json in it; run eval.py"):
        find(str(tmp_path))


@pytest.mark.parametrize(
    "content, reason",
    [
        ("", "Expecting value"),
        ('{"mean_iou": 0.5', "Expecting"),
        ("\xff\xfe", "decode"),
        ("[]", "no JSON object"),
        ('{"mean_iou": 0.5}', "no 'per_class_iou'"),
        (json.dumps(_report(per_class_iou=[0.5])), "'per_class_iou' is no object"),
        (json.dumps(_report(per_class_iou=None)), "'per_class_iou' is no object"),
        (json.dumps(_report(verdict="good")), "'verdict' is no object"),
        (json.dumps(_report(mean_iou="0.5")), "'mean_iou' is '0.5', no number"),
        (json.dumps(_report(mean_iou=float("nan"))), "'mean_iou' is nan, no number"),
        (json.dumps(_report(per_class_iou={"sky": []})), "'sky' is \\[\\], no number"),
    ],
)
def test_what_is_no_report_is_named(tmp_path, content, reason):
    path = tmp_path / "report.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=f"report.json: not a report \\(.*{reason}") as raised:
        read(str(path))
    assert "\n" not in str(raised.value)


def test_compare_needs_two_different_reports(runs, tmp_path):
    with pytest.raises(UserError, match="at least twice"):
        compare(runs[:1], str(tmp_path))
    with pytest.raises(UserError, match="named twice"):
        compare([runs[0], f"{runs[0]}/report.json"], str(tmp_path))
    assert not (tmp_path / "compare.html").exists()


def _eval(*arguments):
    """Runs eval.py; returns its exit code, output, error lines and the heavy modules it took."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "eval.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stderr.splitlines()
    imports = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    errors = [line for line in lines if not line.startswith("import time:")]
    heavy = {"tensorflow", "tf_keras", "tensorflow_datasets", "matplotlib", "cv2", "numpy"}
    return done.returncode, done.stdout, errors, heavy & imports


def test_compare_on_the_command_line(runs, tmp_path):
    flags = [f"--compare={path}" for path in runs]
    code, output, errors, heavy = _eval(*flags, f"--output_dir={tmp_path / 'out'}")
    assert (code, errors, heavy) == (0, [], set())
    assert "62.00" in output and (tmp_path / "out" / "compare.html").is_file()


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["--compare=a"], "give --output_dir=DIR"),
        (["--compare=a", "--output_dir=o", "--model_dir=m"], "leave out --model_dir"),
        (["--compare=a", "--output_dir=o", "--gin.A=1"], "leave out --gin"),
        (["--compare=a", "--compare=b", "--output_dir=o"], "--compare=a: no such file or folder"),
    ],
)
def test_mistakes_on_the_command_line(arguments, line):
    code, output, errors, heavy = _eval(*arguments)
    assert (code, output, heavy) == (2, "", set())
    assert len(errors) == 1 and line in errors[0]
