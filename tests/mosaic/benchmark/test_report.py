"""The report of a benchmark: table, file and picture."""

import json
import os

import cv2

from mosaic.benchmark import report as benchmark_report
from mosaic.benchmark.android import PhoneResult
from mosaic.benchmark.latency import Latency


def test_report(results, tmp_path):
    text = benchmark_report.table(results)
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["model", "params", "mult-adds"]
    assert lines[1].startswith("none.tflite")
    assert "1.000" in lines[1]
    assert "50.00" in lines[2]
    assert "int8.tflite: " in text
    assert "1 ARG_MAX *" in text
    written = benchmark_report.save(results, str(tmp_path), "python benchmark.py x", {"runs": 3})
    report = json.loads(written[0].read_text())
    assert report["command"] == "python benchmark.py x"
    assert report["runs"] == 3
    assert report["machine"]["cores"] >= 1
    entry = report["models"][1]
    assert entry["latency_ms"]["median"] == results[1].latency.median
    assert entry["mean_iou"] == 0.5
    assert entry["profile"][-1]["kind"] == "ARG_MAX"
    assert entry["bytes"] == os.path.getsize(results[1].path)
    assert cv2.imread(str(written[1])).std() > 1


def test_no_picture_without_scores(results, tmp_path):
    import dataclasses

    unscored = [dataclasses.replace(result, mean_iou=None) for result in results]
    written = benchmark_report.save(unscored, str(tmp_path), "x", {})
    assert [path.name for path in written] == ["benchmark.json"]
    assert "mIoU" not in benchmark_report.table(unscored)


def test_a_loaded_machine_is_told(results):
    import dataclasses

    latencies = Latency(10.0, 9.9, 10.1, 9.8, 10.4), Latency(10.0, 9.0, 12.0, 8.0, 30.0)
    for latency, is_told in zip(latencies, (False, True)):
        text = benchmark_report.table([dataclasses.replace(results[0], latency=latency)])
        assert ("warning: quartiles are far apart" in text) == is_told
        assert f"{latency.percentile_90:.2f}" in text


def test_phones_have_a_column_for_each_delegate(results):
    import dataclasses

    measured = PhoneResult("Pixel 4", 50, 4.0, 0.1, 3.9, None, None, delegate="cpu", taken="all")
    phone = [measured, dataclasses.replace(measured, mean=2.0, delegate="gpu", taken="some")]
    lines = benchmark_report.table([dataclasses.replace(results[0], phone=phone)]).splitlines()
    assert "phone CPU ms" in lines[0] and "phone GPU ms" in lines[0]
    assert lines[1].endswith("4.00 +- 0.10  2.00 +- 0.10 (part)")


def test_a_file_on_plain_kernels_is_marked(results, tmp_path):
    import dataclasses

    marked = [dataclasses.replace(results[0], plain_kernels=True), results[1]]
    lines = benchmark_report.table(marked).splitlines()
    assert lines[1].startswith("none.tflite *")
    assert any(line.startswith("* XNNPACK refuses this file") for line in lines)
    written = benchmark_report.save(marked, str(tmp_path), "x", {})
    models = json.loads(written[0].read_text())["models"]
    assert [model["plain_kernels"] for model in models] == [True, False]
