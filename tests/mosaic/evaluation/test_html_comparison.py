"""The page that compares runs: reports are found, read and set side by side."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from mosaic.evaluation.file_costs import near
from mosaic.evaluation.html_comparison import compare, find, read
from mosaic.utils.errors import UserError
from pages import PUBLISHED, Page, made_report, needs_nothing

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def runs(tmp_path):
    """Folders of three runs: report.json in the folder, in eval/, and under another name."""
    reports = {
        "a": made_report(
            mean_iou=0.41, settings={"LEARNING_RATE": 0.1, "flip": True}, command="first"
        ),
        "b/eval": made_report(mean_iou=0.62, settings={"LEARNING_RATE": 0.2, "flip": True}),
        "c": made_report(mean_iou=0.53),
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
    page = needs_nothing(text)
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


def _measured(path, median, **more):
    entry = {"name": path.name, "path": str(path), "bytes": 2_500_000, **more}
    return {
        "machine": {"cores": 2, "processor": "a processor"},
        "models": [{**entry, "latency_ms": {"median": median}}],
    }


def test_size_and_latency_where_they_were_measured(runs, tmp_path):
    """Of the file that was scored, by the latest report beside it; others' files are not shown."""
    file = tmp_path / "c" / "exports" / "x.tflite"
    report = json.loads(pathlib.Path(runs[2]).read_text())
    pathlib.Path(runs[2]).write_text(json.dumps({**report, "checkpoint": str(file)}))
    for when, folder, found in (
        (1, "exports", _measured(file, 12.5)),
        (2, "bench", _measured(file, 11.25)),
        (3, "other", _measured(tmp_path / "y.tflite", 1.0)),
        (4, "broken", {"models": [{}]}),
    ):
        path = tmp_path / "c" / folder / "benchmark.json"
        path.parent.mkdir()
        path.write_text(json.dumps(found))
        os.utime(path, (when, when))
    compare(runs, str(tmp_path / "out"))
    page = needs_nothing((tmp_path / "out" / "compare.html").read_text())
    rows = [row for row in page.rows() if "x.tflite" in row]
    assert rows == [["c", "x.tflite", "2.50", "11.25", "2 cores of a processor"]]
    assert "y.tflite" not in page.texts("td")


def test_files_of_a_runs_folder(tmp_path):
    """Where the run's own weights were scored: its exports, wherever in it they lie."""
    (tmp_path / "run" / "exports").mkdir(parents=True)
    file = tmp_path / "run" / "exports" / "int8.tflite"
    (tmp_path / "run" / "benchmark.json").write_text(json.dumps(_measured(file, 3.0)))
    found = near(str(tmp_path / "run" / "eval" / "report.json"), made_report(), tmp_path / "run")
    assert [(one["name"], one["milliseconds"]) for one in found] == [("int8.tflite", 3.0)]


def test_no_two_of_many_runs_have_the_same_line(tmp_path):
    """There are fewer colours than runs: the later ones are dashed."""
    folders = []
    for index in range(13):
        folder = tmp_path / f"run{index}"
        folder.mkdir()
        (folder / "report.json").write_text(json.dumps(made_report(mean_iou=0.5)))
        entries = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
        (folder / "history.jsonl").write_text("\n".join(map(json.dumps, entries)))
        folders.append(str(folder))
    compare(folders, str(tmp_path / "out"))
    page = Page((tmp_path / "out" / "compare.html").read_text())
    for tag in ("polyline", "path"):  # in the drawing, and in its key
        lines = [
            (line["stroke"], line.get("stroke-dasharray"))
            for line in page.all(tag)
            if "--run" in line["stroke"]
        ]
        assert len(lines) == len(set(lines)) == 13
    assert sum("stroke-dasharray" in line for line in page.all("polyline")) == 7


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
        (json.dumps(made_report(per_class_iou=[0.5])), "'per_class_iou' is no object"),
        (json.dumps(made_report(per_class_iou=None)), "'per_class_iou' is no object"),
        (json.dumps(made_report(verdict="good")), "'verdict' is no object"),
        (json.dumps(made_report(mean_iou="0.5")), "'mean_iou' is '0.5', no number"),
        (json.dumps(made_report(mean_iou=float("nan"))), "'mean_iou' is nan, no number"),
        (json.dumps(made_report(per_class_iou={"sky": []})), "'sky' is \\[\\], no number"),
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
    assert (code, errors, heavy) == (0, [], {"numpy"})
    assert "62.00" in output
    assert (tmp_path / "out" / "compare.html").is_file()


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
    assert (code, output) == (2, "") and heavy <= {"numpy"}
    assert len(errors) == 1
    assert line in errors[0]


_DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "content",
    [
        _DEEP,
        '{"mean_iou": 0.5, "settings": ' + _DEEP + "}",
        json.dumps(made_report(mean_iou=True)),
        json.dumps(made_report(mean_iou=10**400)),
        json.dumps(made_report(verdict={"status": ["good"]})),
        json.dumps(made_report(verdict={"departures": 5})),
        json.dumps(made_report(verdict={"departures": [5]})),
        json.dumps(made_report(verdict={"difference": "x"}, published=PUBLISHED)),
        json.dumps(made_report(published={"mean_iou": 0.5})),
        json.dumps(made_report(categories={"flat": "x"})),
        json.dumps(made_report(per_class_iou={"sky": {}})),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_short_line(tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(UserError, match=r"report\.json: not a report \(") as raised:
        read(str(tmp_path / "report.json"))
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("depth", [5, 400])
def test_settings_of_any_depth_are_shown_or_told(tmp_path, depth):
    value = 1
    for _ in range(depth):
        value = [value]
    (tmp_path / "report.json").write_text(json.dumps(made_report(settings={"scales": value})))
    if depth == 5:
        assert read(str(tmp_path / "report.json"))["settings"]
    else:
        with pytest.raises(UserError, match=r"report\.json: not a report"):
            read(str(tmp_path / "report.json"))
