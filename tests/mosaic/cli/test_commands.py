"""Commands in processes of their own: mistakes are told at once, and no foreign code runs."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import mosaic
from mosaic import cli
from mosaic.utils import gin_text

ROOT = pathlib.Path(mosaic.__file__).resolve().parent.parent


def _command(*arguments, cwd):
    """Runs a command as a user does; its error output also lists every imported module."""
    return subprocess.run(
        [sys.executable, "-X", "importtime", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def _errors(completed):
    """The error output without the list of imports, which must hold nothing heavy."""
    lines = completed.stderr.splitlines()
    imports = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    assert "absl.flags" in imports
    heavy = {"tensorflow", "tf_keras", "keras", "official", "tensorflow_datasets", "matplotlib"}
    assert not heavy & {name.split(".")[0] for name in imports}
    return [line for line in lines if not line.startswith("import time:")]


@pytest.mark.parametrize("command", ["train.py", "eval.py", "export.py"])
def test_help_answers_at_once(command, tmp_path):
    completed = _command(ROOT / command, "--help", cwd=tmp_path)
    assert completed.returncode == 0
    assert _errors(completed) == []
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
    completed = _command(ROOT / command, *arguments, cwd=tmp_path)
    errors = _errors(completed)
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


@pytest.mark.parametrize(
    "command, arguments, told",
    [
        ("train.py", [], "give --gin_file=EXPERIMENT and --model_dir=DIR"),
        (
            "train.py",
            ["--gin_file=mosaic_folders"],
            "give --model_dir=DIR; and for mosaic_folders --data_dir=DIR --gin.LABEL_MAP=VALUE; "
            "CROP_SIZE and NUM_CLASSES come from the data: set what it does not tell",
        ),
        (
            "train.py",
            ["--gin_file=mosaic_camvid_qat", "--data_dir=x"],
            "give --model_dir=DIR; and for mosaic_camvid_qat --gin.INIT_CHECKPOINT=VALUE",
        ),
        ("train.py", ["--show_config"], "give --gin_file=EXPERIMENT"),
        (
            "eval.py",
            [],
            "give --gin_file=EXPERIMENT --checkpoint=PATH --output_dir=DIR (or --model_dir=DIR)",
        ),
        (
            "eval.py",
            ["--gin_file=mosaic_camvid_qat", "--checkpoint=x"],
            "give --output_dir=DIR; and for mosaic_camvid_qat --data_dir=DIR",
        ),
        (
            "export.py",
            ["--gin_file=mosaic_camvid"],
            "give --export_dir=DIR and --checkpoint=PATH (or --model_dir=DIR); and for "
            "mosaic_camvid --data_dir=DIR (or --images=FOLDER)",
        ),
        (
            "export.py",
            ["--gin_file=mosaic_folders", "--images=x"],
            "give --export_dir=DIR and --checkpoint=PATH (or --model_dir=DIR)",
        ),
        ("predict.py", [], "give --model=MODEL and --images=PATH and --output_dir=DIR"),
        (
            "check_data.py",
            ["--gin_file=mosaic_folders"],
            "give --output_dir=DIR; and for mosaic_folders --data_dir=DIR --gin.LABEL_MAP=VALUE; "
            "CROP_SIZE and NUM_CLASSES come from the data: set what it does not tell",
        ),
        ("check_data.py", [], "give --gin_file=EXPERIMENT and --output_dir=DIR"),
        ("benchmark.py", [], "name the models, MODEL [MODEL ...], or give --model_dir=RUN"),
    ],
)
def test_all_that_is_missing_is_asked_for_at_once(command, arguments, told, tmp_path):
    completed = _command(ROOT / command, *arguments, cwd=tmp_path)
    assert completed.returncode == 2
    assert _errors(completed) == [f"{command}: {told}"]


def test_an_experiment_that_is_not_there_is_told_before_what_else_is_missing(tmp_path):
    completed = _command(ROOT / "train.py", "--gin_file=mosaic_folder", cwd=tmp_path)
    assert "did you mean 'mosaic_folders'?" in completed.stderr
    assert "--model_dir" not in completed.stderr


@pytest.mark.parametrize(
    "command, flag, told",
    [
        ("train.py", "--lr=1", "it is a setting: write --gin.LEARNING_RATE=VALUE"),
        (
            "train.py",
            "--epochs=1",
            "it is a setting: write --gin.TRAIN_STEPS=VALUE, in steps of BATCH_SIZE images",
        ),
        ("train.py", "--data=x", "write --data_dir=VALUE"),
        ("train.py", "--model=x", "write --gin_file=VALUE"),
        ("train.py", "--weights=x", "it is a setting: write --gin.INIT_CHECKPOINT=VALUE"),
        ("train.py", "--work-dir=x", "write --model_dir=VALUE"),
        ("train.py", "--dry-run", "write --show_config"),
        ("train.py", "--device=0", "it is a setting: write --gin.runtime.devices=VALUE"),
        ("train.py", "--lerning_rate=1", "if it is a macro, write --gin.LEARNING_RATE=VALUE"),
        ("eval.py", "--model=x", "write --checkpoint=VALUE"),
        ("eval.py", "--images=x", "write --data_dir=VALUE"),
        ("export.py", "--weights=x", "write --checkpoint=VALUE"),
        ("export.py", "--imgsz=5", "write --size=VALUE"),
        ("export.py", "--int8", "write --quantize=VALUE"),
        ("predict.py", "--model_dir=x", "write --model=VALUE"),
        ("predict.py", "--source=x", "write --images=VALUE"),
        ("predict.py", "--conf=0.5", "write --confidence"),
        ("benchmark.py", "--num_threads=2", "write --threads=VALUE"),
        ("benchmark.py", "--num_runs=2", "write --runs=VALUE"),
        ("check_data.py", "--masks=x", "write --data_dir=VALUE"),
    ],
)
def test_flags_of_other_programs_are_told_as_they_are_called_here(command, flag, told, tmp_path):
    completed = _command(ROOT / command, flag, cwd=tmp_path)
    assert completed.returncode == 2
    name = flag.partition("=")[0]
    line = f"{command}: {name}: no such flag; {told} (see {command} --help)"
    assert _errors(completed) == [line]


def test_names_of_other_programs_stand_for_flags_and_settings_that_are_there():
    from mosaic import config
    from mosaic.utils import habits

    flags = set()
    for door in ("train", "eval", "export", "predict", "benchmark", "check_data"):
        completed = _command(ROOT / f"{door}.py", "--help", cwd=ROOT)
        flags |= set(re.findall(r"^  --([a-z_]+):", completed.stdout, re.MULTILINE))
    macros = config.statements([config.find("mosaic_cityscapes")])
    known = set(gin_text.macros_set(macros))
    for name, meant in habits._BY_NAME.items():
        for given in meant:
            setting = given.removeprefix("gin.")
            if setting == given:
                assert given in flags, name
            elif setting.isupper():
                assert setting in {*known, "LABEL_MAP", "NAME"}, name
            else:
                assert config.settings_called(setting) == [setting], name


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
