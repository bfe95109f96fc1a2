"""The benchmark: its results, scores beside them, bad calls and the command."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mosaic.benchmark import report
from mosaic.benchmark.measure import benchmark
from mosaic.utils.errors import UserError

SIZE = (64, 96)


def test_results(results):
    first, second, third = results
    assert first.name == "none.tflite"
    assert first.ratio == 1.0
    assert [r.format for r in results] == ["tflite", "tflite", "saved_model"]
    assert {r.input_size for r in results} == {SIZE}
    for result in results:
        latency = result.latency
        assert 0 < latency.least <= latency.lower <= latency.median <= latency.upper
        assert result.ratio == latency.median / first.latency.median
    assert [r.mean_iou for r in results] == [None, 0.5, None]
    assert third.operators is None
    assert second.operators


def test_score_from_a_report(files, tmp_path):
    (tmp_path / "report.json").write_text('{"mean_iou": 0.25}')
    path = str(files / "int8.tflite")
    scores = [f"{path}={tmp_path / 'report.json'}"]
    (result,) = benchmark([path], runs=1, warmup=0, scores=scores)
    assert result.mean_iou == 0.25


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        ([], {}, "name the models"),
        (["absent.tflite"], {}, "absent.tflite: no such file"),
        (["folder"], {}, "folder: neither a .tflite file nor a SavedModel"),
        (["run"], {}, "run: a run; --model_dir=.*run exports and measures it"),
        (["int8.tflite"], {"size": (32, 32)}, "32x32: int8.tflite takes .* 64x96 only; leave it"),
        (["broken.tflite"], {}, "broken.tflite: the TFLite file cannot be read"),
        (["broken.tflite", "broken.tflite"], {}, "named twice"),
        (["int8.tflite"], {"threads": 0}, "--threads=0: it must be from 1 to 1,024"),
        (["int8.tflite"], {"threads": 100_000}, "--threads=100000: it must be from 1 to 1,024"),
        (["int8.tflite"], {"runs": 0}, "--runs=0: it must be from 1 to 1,000,000"),
        (["int8.tflite"], {"runs": 10**12}, "--runs=1000000000000: it must be"),
        (["int8.tflite"], {"warmup": -1}, "--warmup=-1: it must be from 0"),
        (["int8.tflite"], {"warmup": 10**12}, "--warmup=1000000000000: it must be"),
        (["int8.tflite"], {"images": ["/absent.png"]}, "--images=/absent.png: no such file"),
        (["saved_model"], {}, "give --size=HEIGHTxWIDTH or --images"),
        (["int8.tflite"], {"scores": ["int8"]}, "write MODEL=MIOU"),
        (["int8.tflite"], {"scores": ["int8.tf=0.5"]}, "did you mean 'int8.tflite'"),
        (["int8.tflite"], {"scores": ["int8=59.8"]}, "from 0 to 1"),
        (["int8.tflite"], {"scores": ["int8=nan"]}, "from 0 to 1"),
        (["int8.tflite"], {"scores": ["int8=good"]}, "good is neither a number nor a .json"),
        (["int8.tflite"], {"scores": ["int8=/absent.json"]}, "/absent.json: No such file"),
    ],
)
def test_bad_calls_are_told_in_one_line(files, tmp_path, names, arguments, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.gin").touch()
    (tmp_path / "broken.tflite").write_bytes(b"xxxxTFL3" + bytes(64))
    paths = [str((files if (files / n).exists() else tmp_path) / n) for n in names]
    with pytest.raises(UserError, match=message) as caught:
        benchmark(paths, **arguments)
    assert "\n" not in str(caught.value)


def test_a_size_is_for_models_that_take_any(files, capfd):
    paths = [str(files / name) for name in ("int8.tflite", "saved_model")]
    results = benchmark(paths, size=(80, 112), runs=1, warmup=0)
    assert [result.input_size for result in results] == [SIZE, (80, 112)]
    told = "warning: --size=80x112: int8.tflite takes images of 64x96 only"
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == told
    # TensorFlow's own lines name GPUs.
    assert [line for line in lines[1:] if not line.startswith("measure")] == []
    heads, *rows = (line.split() for line in report.table(results).splitlines()[:3])
    assert [heads[1], *(row[1] for row in rows)] == ["input", "64x96", "80x112"]


def test_the_command(files, root, tmp_path):
    image = np.full((*SIZE, 3), 99, np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), image)
    result = subprocess.run(
        [
            *(sys.executable, "benchmark.py", str(files / "int8.tflite"), "--runs=2"),
            *(f"--images={tmp_path / 'image.png'}", f"--output_dir={tmp_path / 'out'}"),
        ],
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert result.returncode == 0, result.stderr
    assert "int8.tflite" in result.stdout
    assert "benchmark.json" in result.stdout
    report = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert report["command"].startswith("python benchmark.py ")
    assert report["threads"] == 2
