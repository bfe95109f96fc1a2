"""docs/RESULTS.md and the records that its figures come from."""

import json
import re

import pytest

import measurement_records
import results_page
from mosaic.utils.errors import UserError
from mosaic.utils.provenance import provenance

# A path of some machine, at the start of a word or of a flag's value.
PLACE = re.compile(r"(?:^|[\s='\"(:])(?:/|~)[\w.]")


def _strings(value):
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _strings(part)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def _write(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)


def test_results_are_what_the_records_say(root):
    """Whoever types a figure into RESULTS.md instead of measuring it fails here."""
    text = (root / "docs" / "RESULTS.md").read_text()
    assert text == results_page.render(root / "docs"), "run `make results`"


def test_every_record_says_where_it_came_from(root):
    found = measurement_records.read(root / "docs")
    assert found
    for name, record in found.items():
        if "source" not in record:  # measured by others
            assert all(record.get(key) for key in measurement_records.PROVENANCE), name
        assert not [text for text in _strings(record) if PLACE.search(text)], name


def test_words_take_the_place_of_paths(tmp_path):
    command = (
        "python /opt/x/eval.py --model_dir=/home/me/runs/wide --data_dir=/data/camvid"
        " --output_dir=/tmp/a/b --checkpoint=/models/net.tflite --images=/data/camvid/val"
        " --gin.INIT_CHECKPOINT=/models/old/ckpt-1.tar.gz --gin.STEPS=3 runs/wide"
    )
    report = _write(
        tmp_path / "report.json",
        **provenance(command),
        dataset="camvid",
        mean_iou=0.5,
        confusion_matrix=[[1]],
        checkpoint="/models/net.tflite",
        models=[{"name": "/data/camvid/a.tflite", "path": "/data", "profile": [1]}],
    )
    with pytest.raises(UserError, match="/data/camvid/val: say what to call it"):
        measurement_records.add(report, "wide.val", docs=tmp_path)
    measurement_records.add(report, "wide.val", ["CAMVID=/data/camvid/", "D=/data"], docs=tmp_path)
    record = measurement_records.read(tmp_path)["wide.val"]
    assert record["command"] == (
        "python eval.py --model_dir=runs/wide --data_dir=CAMVID --output_dir=OUT"
        " --checkpoint=net.tflite --images=CAMVID/val"
        " --gin.INIT_CHECKPOINT=ckpt-1.tar.gz --gin.STEPS=3 runs/wide"
    )
    assert record["mean_iou"] == 0.5 and record["machine"]["cores"] >= 1
    assert record["models"] == [{"name": "CAMVID/a.tflite"}]
    assert not {"confusion_matrix", "checkpoint"} & record.keys()
    assert not [text for text in _strings(record) if PLACE.search(text)]


@pytest.mark.parametrize("missing", [*measurement_records.PROVENANCE])
def test_figures_without_provenance_are_refused(tmp_path, missing):
    content = {**provenance("python eval.py"), "mean_iou": 0.5}
    del content[missing]
    report = _write(tmp_path / "report.json", **content)
    with pytest.raises(UserError, match=f"does not say its {missing}"):
        measurement_records.add(report, "x", docs=tmp_path)
    assert not (tmp_path / "results").exists()


def _suite(tmp_path, failures=0):
    machine = json.dumps({"cores": 2}).replace('"', "&quot;")
    case = (
        '<testcase classname="tests.test_{0}" name="test_{0}" file="tests/test_{0}.py">'
        '<properties><property name="difference" value="{1}"/></properties></testcase>'
    )
    path = tmp_path / "tests.xml"
    path.write_text(
        f'<testsuites><testsuite failures="{failures}" errors="0" timestamp="2026-01-02T03:04:05">'
        f'<properties><property name="machine" value="{machine}"/></properties>'
        + case.format("b", 1e-7)
        + case.format("a", 3)
        + '<testcase classname="tests.test_c" name="t" file="tests/test_c.py"/>'
        "</testsuite></testsuites>"
    )
    return str(path)


def test_what_tests_measure(tmp_path):
    measurement_records.add(_suite(tmp_path), "tests", docs=tmp_path)
    assert measurement_records.read(tmp_path)["tests"] == {
        "command": "python -m pytest tests/test_a.py tests/test_b.py --junitxml=OUT",
        "date": "2026-01-02",
        "machine": {"cores": 2},
        "figures": {"difference": [1e-7, 3]},
    }


def test_failed_tests_are_no_measurement(tmp_path):
    other = tmp_path / "other.xml"
    other.write_text('<testsuites><testsuite failures="0" errors="0"/></testsuites>')
    with pytest.raises(UserError, match="no run of this project's tests"):
        measurement_records.add(str(other), "tests", docs=tmp_path)
    with pytest.raises(UserError, match="a test failed"):
        measurement_records.add(_suite(tmp_path, failures=1), "tests", docs=tmp_path)


def _training(**more):
    return {
        **provenance("python train.py"),
        "dataset": "camvid",
        "parameters": 1862539,
        "multiply_adds": 1807047168,
        "steps": 4140,
        **more,
    }


def test_comparison_takes_up_experiments_by_name(tmp_path):
    (tmp_path / "RESULTS.md.jinja").write_text(
        "{% for names in experiments.values() %}{{ comparison(names) }}\n{% endfor %}"
    )
    store = tmp_path / "results"
    _write(store / "a.train.json", **_training(seconds=4740))
    _write(store / "a.val.json", mean_iou=0.7618)
    _write(store / "unscored.train.json", **_training())
    files = {"net_float32_labels": 11.33, "net_dynamic_labels": 29.54, "net_int8_labels": 6.81}
    models = [{"name": name, "latency_ms": {"median": ms}} for name, ms in files.items()]
    _write(store / "a.tflite.json", models=models)
    lines = results_page.render(tmp_path).splitlines()
    assert lines[0] == (
        "| experiment | mIoU on val, % | parameters | multiply-adds | ms, float32 | ms, int8 |"
        " steps | training | by |"
    )
    assert lines[2:] == [
        "| `a` | 76.18 | 1,862,539 | 1,807,047,168 | 11.33 | 6.81 | 4,140 | 79 min |"
        " `python train.py` |"
    ]
    # A second one whose time and latency nobody measured.
    _write(store / "b.train.json", **_training())
    _write(store / "b.val.json", mean_iou=0.5)
    lines = results_page.render(tmp_path).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| `a`", "| `b`"]
    assert lines[3].split(" | ")[4:8] == ["-", "-", "4,140", "-"]
    for name in "ab":
        _write(store / f"{name}.test.json", mean_iou=0.25)
    assert results_page.render(tmp_path).count("25.00") == 2
    # One of other data is not compared with them.
    _write(store / "c.train.json", **_training(dataset="ade20k"))
    _write(store / "c.val.json", mean_iou=0.75)
    assert results_page.render(tmp_path).count("| experiment |") == 2


def test_a_missing_figure_is_told(tmp_path):
    (tmp_path / "RESULTS.md.jinja").write_text("{{ records.tests.figures }}")
    with pytest.raises(UserError, match="no attribute 'tests'"):
        results_page.render(tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,234,567", results_page.number(1234567)),
        ("11.33", results_page.number(11.3302, 2)),
        ("3.0e-7", results_page.number(2.98e-7)),
        ("7.6e-3", results_page.number(0.0076)),
        ("0.545", results_page.number(0.5451, 3)),
        ("0", results_page.number(0.0)),
        ("45 s", results_page.duration(45.2)),
        ("3 min 23 s", results_page.duration(203)),
        ("79 min", results_page.duration(4740)),
    ],
)
def test_figures_as_people_write_them(text, found):
    assert found == text


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    report = _write(tmp_path / "r.json", **provenance("python eval.py"), mean_iou=0.5)
    for arguments in (["add", report, "--as", "x"], ["write"]):
        assert results_page.main(arguments) == 2
        error = capsys.readouterr().err
        assert error == "docs/RESULTS.md.jinja: not here; run this in the repository's root\n"
    assert not (tmp_path / "docs").exists()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "RESULTS.md.jinja").write_text("{{ records.x.mean_iou }}\n")
    assert results_page.main(["add", "nothing.json", "--as", "x"]) == 2
    assert "nothing.json: cannot be read" in capsys.readouterr().err
    assert results_page.main(["add", report, "--as", "x"]) == 0
    assert results_page.main(["write"]) == 0
    assert (tmp_path / "docs" / "RESULTS.md").read_text() == "0.5\n"
