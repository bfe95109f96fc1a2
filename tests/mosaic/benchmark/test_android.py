"""Measurements on a phone: what is called there, what is read, and what can lack."""

import dataclasses
import os
import re
import stat

import pytest

from mosaic.benchmark import android
from mosaic.benchmark import report as benchmark_report
from mosaic.benchmark.measure import benchmark
from mosaic.utils.errors import RunError, UserError

OUTPUT = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [/data/local/tmp/int8.tflite]
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Running benchmark for at least 5 iterations and at least 0.5 seconds
INFO: count=7 first=90000 curr=80100 min=80000 max=90000 avg=82000 std=3000

INFO: Running benchmark for at least 50 iterations and at least 1 seconds
INFO: count=50 first=39100 curr=39000 min=38500 max=4.1e+04 avg=39250.5 std=410{quantiles}

INFO: Inference timings in us: Init: 6395, First inference: 90000, Warmup (avg): 82000, \
Inference (avg): 39250.5
INFO: Memory footprint delta from the start of the tool (MB): init=4.5 overall=12.25
"""


@pytest.mark.parametrize(
    ("quantiles", "median", "slow"),
    [("", None, None), (" p5=38600 median=39200 p95=39900", 39.2, 39.9)],
)
def test_what_benchmark_model_prints(quantiles, median, slow):
    result = android.parse(OUTPUT.format(quantiles=quantiles), "Pixel 4", "int8.tflite")
    assert result == android.PhoneResult(
        "Pixel 4", 50, 39.2505, 0.41, 38.5, median, int(12.25 * 2**20), slow
    )


def test_the_table_shows_slow_runs(files):
    """The 95th percentile, since benchmark_model knows no 90th."""
    (result,) = benchmark([str(files / "int8.tflite")], runs=2, warmup=1)
    output = OUTPUT.format(quantiles=" p5=38600 median=39200 p95=39900")
    result = dataclasses.replace(result, phone=[android.parse(output, "Pixel 4", "int8.tflite")])
    assert "39.25 +- 0.41, 95 %: 39.90" in benchmark_report.table([result])


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("Explicitly applied GPU delegate, and the model graph will be completely", "all"),
        ("Explicitly applied NNAPI delegate, and the model graph will be partially", "some"),
        ("Though GPU delegate is explicitly applied, the model graph will not be", "none"),
    ],
)
def test_how_much_a_delegate_took(said, taken):
    output = f"INFO: {said} executed by the delegate.\n{OUTPUT.format(quantiles='')}"
    assert android.parse(output, "Pixel 4", "int8.tflite").taken == taken


def test_a_single_run_on_the_phone():
    output = "INFO: count=1 curr=5000\nINFO: Inference timings in us: Inference (avg): 5000\n"
    result = android.parse(output, "Pixel 4", "x.tflite")
    assert (result.mean, result.least, result.deviation, result.memory) == (5.0, 5.0, 0.0, None)


def test_what_a_phone_prints_need_not_be_text(adb, files, tmp_path):
    adb()
    (tmp_path / "output").write_bytes(b"\xff\xfe\n" + OUTPUT.format(quantiles="").encode())
    (result,) = android.Phone().measure(str(files / "int8.tflite"), 2, 1, 1)
    assert result.mean == 39.2505


def test_a_failed_run_on_the_phone():
    output = "INFO: STARTING!\nERROR: Op builtin_code out of range\nERROR: Benchmarking failed.\n"
    with pytest.raises(RunError, match=r"x.tflite: .*Pixel 4: ERROR: Op builtin_code"):
        android.parse(output, "Pixel 4", "x.tflite")


@pytest.fixture
def adb(tmp_path, monkeypatch):
    """An `adb` on the PATH, with `devices` connected and `binary` on them, that logs its calls."""

    def install(devices="P4\\tdevice\\n", binary="yes", broken="none"):
        folder = tmp_path / "bin"
        folder.mkdir()
        (tmp_path / "output").write_text(OUTPUT.format(quantiles=""))
        script = folder / "adb"
        script.write_text(
            "#!/bin/sh\n"
            f'echo "$@" >> {tmp_path}/calls\n'
            'case "$*" in\n'
            f"  {broken}) echo 'ERROR: no such delegate' >&2; exit 1 ;;\n"
            f"  devices) printf 'List of devices attached\\n{devices}\\n' ;;\n"
            '  *getprop*) echo "Pixel 4" ;;\n'
            f"  *'test -x'*) echo {binary} ;;\n"
            f"  *{broken}*) echo 'ERROR: no such delegate' >&2; exit 1 ;;\n"
            f"  *--graph=*) cat {tmp_path}/output >&2 ;;\n"
            "esac\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        return tmp_path / "calls"

    return install


def test_phone(adb, files):
    calls = adb()
    path = str(files / "int8.tflite")
    delegates = ["cpu", "gpu"]
    (result,) = benchmark([path], runs=7, warmup=1, threads=2, delegates=delegates)
    assert [one.delegate for one in result.phone] == delegates
    assert {(one.phone, one.mean) for one in result.phone} == {("Pixel 4", 39.2505)}
    assert "39.25 +- 0.41" in benchmark_report.table([result])
    lines = calls.read_text().splitlines()
    remote = lines[3].removeprefix(f"push {path} ")
    assert re.fullmatch("/data/local/tmp/[0-9a-f]{32}.tflite", remote)
    assert f"--graph={remote} --num_threads=2 --num_runs=7 --warmup_runs=1" in lines[4]
    assert lines[4].endswith("--use_xnnpack=true")
    assert lines[5].endswith("--use_gpu=true")
    assert lines[6] == f"shell rm -f {remote}"


def test_a_delegate_that_a_phone_lacks_is_told_and_left_out(adb, files, capsys):
    adb(broken="use_gpu")
    path = str(files / "int8.tflite")
    found = android.Phone().measure(path, 2, 1, 1, ["gpu", "cpu"])
    assert [one.delegate for one in found] == ["cpu"]
    assert capsys.readouterr().err == "warning: gpu: adb shell failed: ERROR: no such delegate\n"
    with pytest.raises(RunError, match="no such delegate"):
        android.Phone().measure(path, 2, 1, 1, ["gpu"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"devices": ""}, "no phone"),
        ({"devices": "P4\\tunauthorized\\n"}, r"no phone; .* \(adb says: P4 is unauthorized\)"),
        ({"devices": "P4\\tno permissions (udev)\\n"}, r"\(adb says: P4 is no permissions\)"),
        ({"broken": "devices"}, "adb devices failed: ERROR: no such delegate; see that `adb dev"),
        ({"devices": "P4\\tdevice\\nP6\\tdevice\\n"}, r"several phones \(P4, P6\)"),
        ({"binary": "no"}, "no /data/local/tmp/benchmark_model on the phone"),
    ],
)
def test_what_is_missing_on_the_phone(adb, settings, message):
    adb(**settings)
    with pytest.raises(UserError, match=message):
        android.Phone()


def test_an_unknown_delegate_is_told(files):
    with pytest.raises(UserError, match="--delegates=tpu: not one of cpu, gpu, nnapi"):
        benchmark([str(files / "int8.tflite")], delegates=["tpu"])


def test_one_of_several_phones(adb, monkeypatch):
    adb(devices="P4\\tdevice\\nP6\\tdevice\\n")
    monkeypatch.setenv("ANDROID_SERIAL", "P6")
    assert android.Phone().name == "Pixel 4"
    monkeypatch.setenv("ANDROID_SERIAL", "P7")
    with pytest.raises(UserError, match="no phone P7"):
        android.Phone()


def test_without_adb(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no adb on the PATH"):
        android.Phone()
