"""Commands in processes of their own: mistakes are told at once, and no foreign code runs."""

import os
import subprocess
import sys

import pytest

import commands
from commands import ROOT
from mosaic import cli


@pytest.mark.parametrize("command", ["train.py", "eval.py", "export.py"])
def test_help_answers_at_once(command, tmp_path):
    completed = commands.command(ROOT / command, "--help", cwd=tmp_path)
    assert completed.returncode == 0
    assert commands.errors(completed) == []
    assert "  --gin_file:" in completed.stdout
    assert "  --model_dir:" in completed.stdout


@pytest.mark.parametrize(
    "command, arguments, parts",
    [
        ("train.py", ["--model_dri=x"], ["model_dri", "Did you mean: model_dir"]),
        ("train.py", ["--gin_file=quickstart"], ["give --model_dir=DIR"]),
        ("train.py", ["--model_dir=x"], ["x: no config.gin in it"]),
        (
            "train.py",
            ["--gin_file=quikstart", "--model_dir=x"],
            ["--gin_file=quikstart: no such file", "did you mean 'quickstart'?"],
        ),
        (
            "train.py",
            ["--gin_file=quickstart", "--model_dir=x", "--data_dir=nowhere"],
            ["--data_dir=nowhere: no such folder"],
        ),
        ("train.py", ["--gin_file=mosaic_camvid", "--model_dir=x"], ["DATA_DIR", "--data_dir=DIR"]),
        (
            "train.py",
            ["--gin_file=quickstart", "--model_dir=x", "--gin.TRAIN_STEP=5"],
            ["--gin.TRAIN_STEP", "did you mean 'TRAIN_STEPS'?"],
        ),
        (
            "train.py",
            ["--gin_file=quickstart", "--model_dir=/proc/run"],
            ["/proc/run: /proc cannot be written to"],
        ),
        (
            "benchmark.py",
            ["a.tflite", "--output_dir=/proc/out"],
            ["/proc/out: /proc cannot be written to"],
        ),
        ("benchmark.py", ["a.tflite", "--model_dir=b"], ["a.tflite: name files, or --model_dir"]),
        ("benchmark.py", ["--model_dir=nowhere"], ["nowhere: no run: config.gin is not in it"]),
        ("benchmark.py", ["a.tflite", "--delegates=gpu"], ["--delegates is for a phone"]),
        ("benchmark.py", ["a.tflite", "--runs=2.5"], ["--runs=2.5: it must be a whole number"]),
        (
            "eval.py",
            ["--compare=a", "--output_dir=/proc/out"],
            ["/proc/out: /proc cannot be written to"],
        ),
        (
            "eval.py",
            [
                "--gin_file=quickstart",
                "--checkpoint=.",
                "--output_dir=y",
                "--submission_dir=/proc/s",
            ],
            ["/proc/s: /proc cannot be written to"],
        ),
        (
            "predict.py",
            ["--model=a", "--images=b", "--output_dir=/proc/out"],
            ["/proc/out: /proc cannot be written to"],
        ),
        (
            "check_data.py",
            ["--gin_file=quickstart", "--output_dir=/proc/out"],
            ["/proc/out: /proc cannot be written to"],
        ),
        (
            "eval.py",
            ["--gin_file=quickstart"],
            ["give --checkpoint=PATH --output_dir=DIR (or --model_dir=DIR)"],
        ),
        (
            "eval.py",
            ["--gin_file=quickstart", "--checkpoint=nowhere", "--output_dir=y"],
            ["--checkpoint=nowhere: no such file or folder"],
        ),
        ("export.py", ["--gin_file=quickstart"], ["give --export_dir=DIR"]),
        (
            "export.py",
            ["--export_dir=y", "--images=x", "--data_dir=z"],
            ["--images has no truth, and --data_dir needs it"],
        ),
        (
            "export.py",
            ["--export_dir=y", "--gin_file=mosaic_camvid", "--checkpoint=."],
            ["needs images: give --data_dir=DIR, its data set, or --images=FOLDER"],
        ),
        ("export.py", ["--export_dir=y", "--label_map=x"], ["--label_map is for --images"]),
        (
            "export.py",
            ["--export_dir=y", "--for=mediapipe", "--output=labels"],
            ["--for=mediapipe takes --output=logits or logits_stride4, not labels"],
        ),
        ("export.py", ["--export_dir=y", "--format="], ["--format=: name at least one"]),
        ("export.py", ["--export_dir=y", "--quantize="], ["--quantize=: name at least one"]),
        ("export.py", ["--export_dir=y", "--quantize=,"], ["--quantize=: name at least one"]),
        ("export.py", ["--export_dir=y", "--size=99999x99999"], ["--size=99999x99999: it would"]),
        (
            "predict.py",
            ["--model=a", "--images=b", "--output_dir=y", "--size=99999x99999"],
            ["--size=99999x99999: it would need at least"],
        ),
        (
            "eval.py",
            [
                *("--gin_file=quickstart", "--checkpoint=.", "--output_dir=y"),
                "--normalization=symmetric",
            ],
            ["--normalization=symmetric is for .tflite files"],
        ),
        ("train.py", ["--gin_file=~nobody_at_all/x"], ["~nobody_at_all/x: no such user's"]),
        ("export.py", ["--export_dir=y", "--size=12"], ["--size=12: write HEIGHTxWIDTH"]),
        ("export.py", ["--export_dir=y", "--size=0x8"], ["--size=0x8: write HEIGHTxWIDTH"]),
        ("export.py", ["--export_dir=y", "--input_type=int16"], ["--input_type", "uint8", "int8"]),
        ("export.py", ["--export_dir=y", "--output=label"], ["--output", "labels"]),
        (
            "export.py",
            ["--export_dir=y", "--format=saved_model", "--quantize=int8"],
            ["--quantize is for TFLite files; add tflite to --format"],
        ),
    ],
)
def test_mistakes_answer_at_once(command, arguments, parts, tmp_path):
    completed = commands.command(ROOT / command, *arguments, cwd=tmp_path)
    errors = commands.errors(completed)
    assert completed.returncode == 2
    assert completed.stdout == ""
    assert len(errors) == 1
    assert errors[0].startswith(f"{command}: ")
    for part in parts:
        assert part in errors[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argument", ["--gin_file=quickstart", "--gin.NUM_CLASSES=3"])
@pytest.mark.parametrize("model", ["x.tflite", "saved"])
def test_files_take_no_configuration(tmp_path, model, argument):
    (tmp_path / "x.tflite").write_bytes(b"")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    arguments = [f"--model={tmp_path / model}", "--images=x", "--output_dir=z", argument]
    result = subprocess.run(
        [sys.executable, "predict.py", *arguments], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    flag = "--gin_file" if "gin_file" in argument else "--gin.NAME"
    assert f"{flag} is for checkpoints" in result.stderr
    assert model in result.stderr


def test_command_without_a_model():
    result = subprocess.run(
        [sys.executable, "predict.py", "--images", "x", "y", "--output_dir=z"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr == "predict.py: give --model=MODEL\n"


def _foreign(folder, text="import intruder\n"):
    """A checkpoint's folder from elsewhere; its configuration's import leaves a file `ran`."""
    (folder / "model").mkdir()
    (folder / "model" / "ckpt-3.index").touch()
    (folder / "model" / "ckpt-3.data-00000-of-00001").touch()
    (folder / "model" / "checkpoint").write_text('model_checkpoint_path: "ckpt-3"\n')
    (folder / "model" / "config.gin").write_text(text)
    (folder / "intruder.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")


_DOORS = [
    ("predict.py", ["--model=model", "--images=x.png", "--output_dir=out"]),
    ("predict.py", ["--model=model/ckpt-3", "--images=x.png", "--output_dir=out"]),
    ("eval.py", ["--model_dir=model", "--output_dir=out"]),
    ("export.py", ["--model_dir=model", "--export_dir=out"]),
    ("train.py", ["--model_dir=model"]),
]


@pytest.mark.parametrize("command, arguments", _DOORS)
def test_code_beside_a_checkpoint_is_not_run(tmp_path, command, arguments):
    _foreign(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, str(ROOT / command), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert not (tmp_path / "ran").exists()
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    for part in ("intruder", "model/config.gin", "--allow_code", "--gin_file"):
        assert part in result.stderr


@pytest.mark.parametrize("arguments", [["--allow_code"], ["--gin_file=model/config.gin"]])
def test_code_that_its_user_allows_may_run(tmp_path, monkeypatch, arguments):
    _foreign(tmp_path)
    monkeypatch.chdir(tmp_path)
    values = cli.common_flags("gin_file", "model_dir", "allow_code")
    values(["train.py", "--model_dir=model", *arguments])
    assert cli.experiment_files(values) == ["model/config.gin"]


@pytest.mark.parametrize(
    "command",
    ["train.py", "predict.py", "check_data.py", "-m mosaic.console", "-m mosaic.console eval"],
)
def test_help_whose_reader_has_gone(command):
    """As `head` goes: no word of a broken pipe, at whatever moment it goes."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody:
        result = subprocess.run(
            [sys.executable, *command.split(), "--help"],
            cwd=ROOT,
            stdout=nobody,
            stderr=subprocess.PIPE,
        )
    assert (result.returncode, result.stderr) == (0, b"")
