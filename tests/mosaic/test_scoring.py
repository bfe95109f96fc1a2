import json
import subprocess
import sys

import pytest

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
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["num_images"] == 101 and report["settings"]["form"] == "tflite"
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
    assert "has 32 logits, but 11 classes are expected by camvid" in result.stderr
    assert not any(tmp_path.iterdir())
