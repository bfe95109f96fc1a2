"""Reports that lie near the files that are measured."""

import json
import os

import pytest

from mosaic.benchmark.scores import of_files


@pytest.fixture
def exported(tmp_path):
    path = tmp_path / "run" / "exports" / "x.tflite"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    return path


def _report(folder, checkpoint, mean_iou, age=0):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.json"
    path.write_text(json.dumps({"checkpoint": str(checkpoint), "mean_iou": mean_iou}))
    then = path.stat().st_mtime + 10 - age
    os.utime(path, (then, then))


@pytest.mark.parametrize("place", ["exports", "exports/scored", "eval", "."])
def test_a_report_of_the_file_is_found(exported, tmp_path, place):
    _report(tmp_path / "run" / place, exported, 0.5)
    assert of_files([str(exported)]) == {str(exported): 0.5}


def test_the_latest_counts(exported, tmp_path):
    _report(tmp_path / "run" / "eval", exported, 0.5, age=5)
    _report(tmp_path / "run" / "another", exported, 0.6)
    assert of_files([str(exported)]) == {str(exported): 0.6}


def test_reports_of_other_files_and_of_older_ones_do_not(exported, tmp_path):
    _report(tmp_path / "run" / "eval", tmp_path / "other.tflite", 0.5)
    _report(tmp_path / "run" / "before", exported, 0.5, age=1000)
    (tmp_path / "run" / "report.json").write_text("no report")
    assert of_files([str(exported)]) == {}
