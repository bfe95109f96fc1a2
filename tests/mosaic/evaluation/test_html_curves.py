"""Curves and settings of training on the page that compares runs."""

import json

import pytest

from mosaic.evaluation import html_curves
from mosaic.evaluation.html_comparison import FILE, compare
from pages import Page, made_report, needs_nothing

# Of mIoU in percent and of its steps, and of the loss and its.
MARKS = ("50 40 30 20 10 0", "0 8 15 22 30", "2 1.5 1 0.5 0", "0 18 35 52 70")


def write_run(folder, scores, momentum, at="eval"):
    """A run's folder with a report, a history and a configuration."""
    (folder / at).mkdir(parents=True)
    (folder / at / "report.json").write_text(json.dumps(made_report(checkpoint=None)))
    lines = [{"step": 10 * i, "loss": 2.0 - i / 10} for i in range(1, 8)]
    lines += [{"step": 10 * i, "mean_iou": score} for i, score in enumerate(scores, 1)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "history.jsonl").write_text(text + '{"step": 9')
    (folder / "config.gin").write_text(f"sgd.momentum = {momentum}\nsgd.nesterov = True\n")
    return folder


def test_runs_show_their_curves_and_what_differs(tmp_path):
    runs = [
        write_run(tmp_path / "a", (0.1, 0.4, 0.5), 0.9),
        write_run(tmp_path / "b", (0.2, 0.3), 0.5, at="."),
    ]
    compare(list(map(str, runs)), str(tmp_path / "out"))
    page = (tmp_path / "out" / FILE).read_text()
    assert page.count("<polyline") == 4
    marks = ["".join(f"<span>{text}</span>" for text in row.split()) for row in MARKS]
    assert all(row in page for row in marks)
    assert "sgd.momentum" in page and "sgd.nesterov" not in page
    needs_nothing(page)


def test_a_setting_of_what_a_run_lacks_is_not_used_there(tmp_path):
    runs = [write_run(tmp_path / name, (0.1, 0.2), 0.9) for name in "ab"]
    (runs[1] / "config.gin").write_text("adam.beta_1 = 0.9\ntrain.frozen_prefixes = ()\n")
    compare(list(map(str, runs)), str(tmp_path / "out"))
    rows = {row[0]: row[1:] for row in Page((tmp_path / "out" / FILE).read_text()).rows()}
    assert rows["adam.beta_1"] == ["not used", "0.9"]
    assert rows["sgd.momentum"] == ["0.9", "not used"]
    assert rows["train.frozen_prefixes"] == ["not used", "none"]


def test_reports_without_a_run_show_none(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(made_report()))
    compare([str(tmp_path / "a"), str(tmp_path / "b")], str(tmp_path / "out"))
    page = (tmp_path / "out" / FILE).read_text()
    assert "<polyline" not in page and "Settings of training" not in page


def test_a_report_finds_its_run_by_its_checkpoint(tmp_path):
    run = write_run(tmp_path / "run", (0.1,), 0.9)
    other = tmp_path / "elsewhere" / "report.json"
    for checkpoint in (run, run / "best_ckpt"):
        assert html_curves.run_folder(str(other), {"checkpoint": str(checkpoint)}) == run
    assert html_curves.run_folder(str(other), {"checkpoint": 5}) is None


@pytest.mark.parametrize("count", [2, 300, 5000])
def test_lines_have_few_points_and_stay_inside(count):
    entries = [{"step": i, "loss": 1.0 + i % 7} for i in range(1, count + 1)]
    entries.append({"step": count + 1, "loss": 1e9})
    (chart,) = html_curves.charts([entries, []])
    (line,) = chart["lines"]
    points = [tuple(map(float, point.split(","))) for point in line["points"].split()]
    assert len(points) <= 300
    assert all(0 <= x <= chart["width"] and 0 <= y <= chart["height"] for x, y in points)
    assert points[-1][0] == chart["width"]
