import json
import subprocess
import sys
import types

import pytest

from mosaic import scoring
from mosaic.classes import Classes
from mosaic.errors import UserError
from mosaic.evaluation import Evaluation
from mosaic.tflite_metadata import Metadata

# IoU of MLPerf's R4 file on CamVid's val set without training, as published with the file's facts.
ZERO_SHOT = {
    "Sky": 0.812,
    "Building": 0.672,
    "Road": 0.900,
    "Pavement": 0.697,
    "Tree": 0.521,
    "Car": 0.794,
    "Pedestrian": 0.148,
}


def _eval(*arguments):
    return subprocess.run(
        [sys.executable, "eval.py", *arguments], capture_output=True, text=True, timeout=300
    )


def test_zero_shot(shared, tmp_path):
    result = _eval(
        "--gin_file=ade20k_on_camvid",
        f"--data_dir={shared / 'data' / 'camvid'}",
        f"--checkpoint={shared / 'models' / 'mosaic_r4_ade20k_uint8.tflite'}",
        f"--output_dir={tmp_path}",
        f"--submission_dir={tmp_path / 'submission'}",
    )
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "submission").glob("*.png"))) == 101
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["num_images"] == 101 and report["settings"]["form"] == "tflite"
    assert report["command"].startswith("python eval.py --gin_file") and report["date"]
    for name, value in report["per_class_iou"].items():
        assert value == pytest.approx(ZERO_SHOT.get(name, 0.0), abs=0.01), name


def test_other_classes_need_a_map(shared, tmp_path):
    result = _eval(
        "--gin_file=ade20k_on_camvid",
        "--gin.Evaluation.class_map=None",
        f"--data_dir={shared / 'data' / 'camvid'}",
        f"--checkpoint={shared / 'models' / 'mosaic_r4_ade20k_uint8.tflite'}",
        "--as_network",
        f"--output_dir={tmp_path}",
    )
    assert result.returncode == 2
    assert "has 32 classes, but 11 are expected by camvid" in result.stderr
    assert not any(tmp_path.iterdir())


def _answers(monkeypatch, drawn, names, num_classes=None, class_map=None):
    said = Metadata(Classes.named(names) if names else None, None)
    monkeypatch.setattr(scoring.tflite_metadata, "read", lambda path: said)
    predictor = types.SimpleNamespace(form="tflite", num_classes=num_classes)
    scoring._check_answers("x.tflite", predictor, drawn, Evaluation(class_map=class_map))


def test_files_of_labels_tell_their_classes(monkeypatch, drawn, capsys):
    _answers(monkeypatch, drawn, drawn.class_names)
    _answers(monkeypatch, drawn, None)
    _answers(monkeypatch, drawn, ("a", "b"), class_map=(0, 1))
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match=r"x\.tflite has 2 classes, but 3 are expected by drawn"):
        _answers(monkeypatch, drawn, ("dark", "bright"))


def test_other_names_are_told(monkeypatch, drawn, capsys):
    _answers(monkeypatch, drawn, ("dark", "light", "absent"), 3)
    assert capsys.readouterr().err == "warning: x.tflite calls 'light' what is 'bright' in drawn\n"
