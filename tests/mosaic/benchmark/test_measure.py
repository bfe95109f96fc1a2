import json
import os
import pathlib
import re
import stat
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic.benchmark import android, file_cost, operator_profile, peak_memory
from mosaic.benchmark import latency as timing
from mosaic.benchmark import report as benchmark_report
from mosaic.benchmark.measure import benchmark
from mosaic.export import saved_model, tflite, tolerances
from mosaic.inference.predictors import of_file
from mosaic.models import cost as model_cost
from mosaic.models.mosaic import mosaic
from mosaic.utils.errors import RunError, UserError

SIZE = (64, 96)


@pytest.fixture(scope="module")
def network():
    """With biases of its own: converters store equal ones once."""
    # XNNPACK refuses the scales that some weights lead to.
    tf_keras.utils.set_random_seed(0)
    model = mosaic(3, bins=(1, 4))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.beta.assign(rng.normal(0, 0.1, layer.beta.shape))
    return model


@pytest.fixture(scope="module")
def files(network, drawn, tmp_path_factory):
    """The same network as float, float16 and int8 file, and as SavedModel."""
    folder = tmp_path_factory.mktemp("files")
    images = list(drawn.images[:1])
    saved_model.write(network, images, str(folder / "saved_model"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tolerances.LIMITS, "int8", tolerances.Limit(None, 0.0))
        for kind in ("none", "float16", "int8"):
            path = folder / f"{kind}.tflite"
            tflite.write(network, images, str(path), SIZE, "labels", kind, lambda: images)
    return folder


@pytest.fixture(scope="module")
def results(files):
    paths = [str(files / name) for name in ("none.tflite", "int8.tflite", "saved_model")]
    return benchmark(paths, runs=3, warmup=1, scores=["int8=0.5"], profile=True)


@pytest.mark.parametrize("name", ["none.tflite", "float16.tflite", "int8.tflite", "saved_model"])
def test_cost_is_that_of_the_network(files, network, name):
    """Multiply-adds to the last one; parameters but for the pooling's constant kernels."""
    expected = model_cost.count(network, *SIZE)
    count = file_cost.of_saved_model if name == "saved_model" else file_cost.of_tflite
    cost = count(str(files / name), SIZE)
    pooling = name == "int8.tflite"
    assert abs(cost.parameters / expected.weights - 1) < (0.02 if pooling else 1e-6)
    assert abs(cost.multiply_adds / expected.multiply_adds - 1) < (0.01 if pooling else 1e-6)
    path = files / name
    bytes_ = [
        f.stat().st_size for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file()
    ]
    assert cost.size == sum(bytes_)


def test_cost_of_mlperfs_file(shared):
    """REFERENCE.md has counted it."""
    path = shared("models/mosaic_r4_ade20k_uint8.tflite")
    cost = file_cost.of_tflite(str(path), (512, 512))
    assert cost == file_cost.FileCost(path.stat().st_size, 1_862_176, 2_693_204_992)


def test_results(results):
    first, second, third = results
    assert first.name == "none.tflite" and first.ratio == 1.0
    assert [r.form for r in results] == ["tflite", "tflite", "saved_model"]
    assert {r.input_size for r in results} == {SIZE}
    for result in results:
        latency = result.latency
        assert 0 < latency.least <= latency.lower <= latency.median <= latency.upper
        assert result.ratio == latency.median / first.latency.median
    assert [r.mean_iou for r in results] == [None, 0.5, None]
    assert third.operators is None and second.operators


def test_models_take_turns_on_the_same_images(files, drawn, monkeypatch):
    """Model 1, 2, 1, 2, ..., and both see the same image in the same round."""
    seen = []
    predictors = [of_file(str(files / name)) for name in ("none.tflite", "int8.tflite")]
    for number, predictor in enumerate(predictors):
        monkeypatch.setattr(
            predictor.run, "feed", lambda image, n=number: seen.append((n, int(image.sum())))
        )
    images = list(drawn.images[:2])
    timing.interleaved(predictors, images, SIZE, runs=3, warmup=1)
    sums = [int(image.sum()) for image in images]
    assert seen == [(n, sums[r % 2]) for r in range(4) for n in (0, 1)]


def test_warm_up_does_not_count(files, monkeypatch):
    ticks = iter(np.cumsum([0, 100, 0, 1, 0, 2, 0, 3]).tolist())
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    predictor = of_file(str(files / "none.tflite"))
    monkeypatch.setattr(timing, "Progress", _Silent)
    image = np.zeros((*SIZE, 3), np.uint8)
    (latency,) = timing.interleaved([predictor], [image], SIZE, runs=3, warmup=1)
    assert latency == timing.Latency(2000.0, 1500.0, 2500.0, 1000.0)


class _Silent:
    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, *_):
        pass


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="Linux only")
def test_memory_grows_with_what_a_model_holds(tmp_path):
    def network(megabytes):
        @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3])])
        def run(images):
            wide = tf.tile(images, [1, 8, 8, megabytes * 2**20 // (64 * 64 * 3 * 4)])
            return tf.reduce_max(wide, -1, keepdims=True)

        path = tmp_path / f"{megabytes}.tflite"
        function = run.get_concrete_function()
        content = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
        path.write_bytes(content)
        return str(path)

    small, large = (peak_memory.measure(network(size), (8, 8), 1) for size in (4, 64))
    assert 50e6 < large - small < 80e6


def test_a_failed_measurement_of_memory_is_told(tmp_path):
    with pytest.raises(RunError, match=r"x.tflite: its memory could not be measured \(ValueError"):
        peak_memory.measure(str(tmp_path / "x.tflite"), SIZE, 1)


def test_profile_has_every_operator(files):
    for name in ("none.tflite", "float16.tflite", "int8.tflite"):
        image = np.zeros((1, *SIZE, 3), np.uint8 if name == "int8.tflite" else np.float32)
        operators = operator_profile.profile(str(files / name), image, 1, 2)
        kinds = [operator.kind for operator in operators]
        assert kinds.count("CONV_2D") > 20 and kinds[-1] == "ARG_MAX"
        assert "DEQUANTIZE" not in kinds
        assert operators[-1].shape == (1, *SIZE)
        convolutions = [operator for operator in operators if operator.kind == "CONV_2D"]
        assert all(operator.delegated for operator in convolutions)
        assert all(operator.milliseconds > 0 for operator in operators)


def test_a_file_of_one_operator_computes_what_it_does_inside(files):
    """What is timed is the operator itself, weights and all."""
    from ai_edge_litert.interpreter import Interpreter

    path = str(files / "none.tflite")
    image = np.random.default_rng(0).uniform(0, 255, (1, *SIZE, 3)).astype(np.float32)
    values = operator_profile._values(path, image)
    parts = operator_profile._parts(operator_profile.tflite_file.parse(path), values)
    assert len(parts) > 80
    for _, output, content, inputs in parts[::9]:
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        for details, index in zip(interpreter.get_input_details(), inputs):
            interpreter.set_tensor(details["index"], values[index])
        interpreter.invoke()
        answer = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(answer, values[output], atol=1e-4)


def test_report(results, tmp_path):
    text = benchmark_report.table(results)
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["model", "params", "mult-adds"]
    assert lines[1].startswith("none.tflite") and "1.000" in lines[1]
    assert "50.00" in lines[2]
    assert "int8.tflite: " in text and "1 ARG_MAX *" in text
    written = benchmark_report.save(results, str(tmp_path), "python benchmark.py x", {"runs": 3})
    report = json.loads(written[0].read_text())
    assert report["command"] == "python benchmark.py x" and report["runs"] == 3
    assert report["machine"]["cores"] >= 1
    entry = report["models"][1]
    assert entry["latency_ms"]["median"] == results[1].latency.median
    assert entry["mean_iou"] == 0.5 and entry["profile"][-1]["kind"] == "ARG_MAX"
    assert entry["bytes"] == os.path.getsize(results[1].path)
    assert cv2.imread(str(written[1])).std() > 1


def test_no_picture_without_scores(results, tmp_path):
    import dataclasses

    unscored = [dataclasses.replace(result, mean_iou=None) for result in results]
    written = benchmark_report.save(unscored, str(tmp_path), "x", {})
    assert [path.name for path in written] == ["benchmark.json"]
    assert "mIoU" not in benchmark_report.table(unscored)


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
        (["broken.tflite"], {}, "broken.tflite: the TFLite file cannot be run"),
        (["broken.tflite", "broken.tflite"], {}, "named twice"),
        (["int8.tflite"], {"threads": 0}, "--threads=0: at least 1"),
        (["int8.tflite"], {"runs": 0}, "--runs=0: at least 1"),
        (["int8.tflite"], {"warmup": -1}, "--warmup=-1: at least 0"),
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
    (tmp_path / "broken.tflite").write_bytes(b"xxxxTFL3" + bytes(64))
    paths = [str((files if (files / n).exists() else tmp_path) / n) for n in names]
    with pytest.raises(UserError, match=message) as caught:
        benchmark(paths, **arguments)
    assert "\n" not in str(caught.value)


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
    assert "int8.tflite" in result.stdout and "benchmark.json" in result.stdout
    report = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert report["command"].startswith("python benchmark.py ") and report["threads"] == 2


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
    ("quantiles", "median"), [("", None), (" p5=38600 median=39200 p95=39900", 39.2)]
)
def test_what_benchmark_model_prints(quantiles, median):
    result = android.parse(OUTPUT.format(quantiles=quantiles), "Pixel 4", "int8.tflite")
    assert result == android.PhoneResult(
        "Pixel 4", 50, 39.2505, 0.41, 38.5, median, int(12.25 * 2**20)
    )


def test_a_single_run_on_the_phone():
    output = "INFO: count=1 curr=5000\nINFO: Inference timings in us: Inference (avg): 5000\n"
    result = android.parse(output, "Pixel 4", "x.tflite")
    assert (result.mean, result.least, result.deviation, result.memory) == (5.0, 5.0, 0.0, None)


def test_a_failed_run_on_the_phone():
    output = "INFO: STARTING!\nERROR: Op builtin_code out of range\nERROR: Benchmarking failed.\n"
    with pytest.raises(RunError, match=r"x.tflite: .*Pixel 4: ERROR: Op builtin_code"):
        android.parse(output, "Pixel 4", "x.tflite")


@pytest.fixture
def adb(tmp_path, monkeypatch):
    """An `adb` on the PATH, with `devices` connected and `binary` on them, that logs its calls."""

    def install(devices="P4\\tdevice\\n", binary="yes"):
        folder = tmp_path / "bin"
        folder.mkdir()
        (tmp_path / "output").write_text(OUTPUT.format(quantiles=""))
        script = folder / "adb"
        script.write_text(
            "#!/bin/sh\n"
            f'echo "$@" >> {tmp_path}/calls\n'
            'case "$*" in\n'
            f"  devices) printf 'List of devices attached\\n{devices}\\n' ;;\n"
            '  *getprop*) echo "Pixel 4" ;;\n'
            f"  *'test -x'*) echo {binary} ;;\n"
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
    (result,) = benchmark([path], runs=7, warmup=1, threads=2, adb=True)
    assert result.phone.phone == "Pixel 4" and result.phone.mean == 39.2505
    assert "39.25 +- 0.41" in benchmark_report.table([result])
    lines = calls.read_text().splitlines()
    remote = lines[3].removeprefix(f"push {path} ")
    assert re.fullmatch("/data/local/tmp/[0-9a-f]{32}.tflite", remote)
    assert f"--graph={remote} --num_threads=2 --num_runs=7 --warmup_runs=1" in lines[4]
    assert lines[5] == f"shell rm -f {remote}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"devices": ""}, "no phone"),
        ({"devices": "P4\\tunauthorized\\n"}, "no phone"),
        ({"devices": "P4\\tdevice\\nP6\\tdevice\\n"}, r"several phones \(P4, P6\)"),
        ({"binary": "no"}, "no /data/local/tmp/benchmark_model on the phone"),
    ],
)
def test_what_is_missing_on_the_phone(adb, settings, message):
    adb(**settings)
    with pytest.raises(UserError, match=message):
        android.Phone()


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
