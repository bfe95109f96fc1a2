"""What an unknown flag is called here."""

import re

import pytest

import commands
from commands import ROOT
from mosaic import cli
from mosaic.cli import experiments


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
        ("train.py", "--output_dir=x", "write --model_dir=VALUE"),
        ("train.py", "--resume_from=x", "write --model_dir=VALUE"),
        ("train.py", "--arch=x", "write --gin_file=VALUE"),
        ("train.py", "--classes=3", "it is a setting: write --gin.NUM_CLASSES=VALUE"),
        (
            "train.py",
            "--Epochs=1",
            "it is a setting: write --gin.TRAIN_STEPS=VALUE, in steps of BATCH_SIZE images",
        ),
        ("train.py", "--DATA_DIR=x", "write --data_dir=VALUE"),
        ("train.py", "--dry-run", "write --show_config"),
        ("train.py", "--device=0", "it is a setting: write --gin.runtime.devices=VALUE"),
        ("train.py", "--lerning_rate=1", "if it is a macro, write --gin.LEARNING_RATE=VALUE"),
        ("eval.py", "--model=x", "write --checkpoint=VALUE"),
        ("eval.py", "--images=x", "write --data_dir=VALUE"),
        ("eval.py", "--arch=x", "write --gin_file=VALUE"),
        ("eval.py", "--input_size=5", "it is a setting: write --gin.Evaluation.input_size=VALUE"),
        ("eval.py", "--batch_size=4", "it is a setting: write --gin.Evaluation.batch_size=VALUE"),
        ("eval.py", "--flip", "it is a setting: write --gin.Evaluation.flip=VALUE"),
        ("export.py", "--weights=x", "write --checkpoint=VALUE"),
        ("export.py", "--graph=x", "write --checkpoint=VALUE"),
        ("export.py", "--output_dir=x", "write --export_dir=VALUE"),
        ("export.py", "--imgsz=5", "write --size=VALUE"),
        ("export.py", "--batch=4", "it is a setting: write --gin.Evaluation.batch_size=VALUE"),
        ("export.py", "--int8", "write --quantize=VALUE"),
        ("predict.py", "--model_dir=x", "write --model=VALUE"),
        ("predict.py", "--source=x", "write --images=VALUE"),
        ("benchmark.py", "--num_threads=2", "write --threads=VALUE"),
        ("benchmark.py", "--num_runs=2", "write --runs=VALUE"),
        ("benchmark.py", "--model=x.tflite", "name the file without a flag"),
        ("benchmark.py", "--graph=x.tflite", "name the file without a flag"),
        ("benchmark.py", "--weights=x.tflite", "name the file without a flag"),
        ("check_data.py", "--masks=x", "write --data_dir=VALUE"),
        ("check_data.py", "--imgsz=5", "it is a setting: write --gin.CROP_SIZE=VALUE"),
    ],
)
def test_flags_of_other_programs_are_told_as_they_are_called_here(command, flag, told, tmp_path):
    completed = commands.command(ROOT / command, flag, cwd=tmp_path)
    assert completed.returncode == 2
    name = flag.partition("=")[0]
    line = f"{command}: {name}: no such flag; {told} (see {command} --help)"
    assert commands.errors(completed) == [line]


@pytest.mark.parametrize(
    "command, flag",
    [
        *(("train.py", flag) for flag in ("--workers=2", "--num_workers=2", "--prob=0.5")),
        *(("predict.py", flag) for flag in ("--batch=4", "--batch_size=4", "--classes=3")),
        *(("predict.py", flag) for flag in ("--epochs=2", "--conf=0.5", "--momentum=0", "--tta")),
        *(("export.py", flag) for flag in ("--epochs=2", "--LR=1", "--freeze=x")),
        *(("check_data.py", flag) for flag in ("--epochs=2", "--batch=4", "--device=0")),
        *(("eval.py", flag) for flag in ("--learning_rate=1", "--crop_size=5")),
        *(("benchmark.py", flag) for flag in ("--lr=1", "--workers=2")),
    ],
)
def test_what_a_command_does_not_have_is_told_so(command, flag, tmp_path):
    completed = commands.command(ROOT / command, flag, cwd=tmp_path)
    assert completed.returncode == 2
    told = f"{flag.partition('=')[0]}: no such flag, and this command has nothing like it"
    assert commands.errors(completed) == [f"{command}: {told} (see {command} --help)"]


@pytest.mark.parametrize(
    "command, flag, meant",
    [
        ("train.py", "data_di", "data_dir"),
        ("train.py", "data_dri", "data_dir"),
        ("train.py", "datadir", "data_dir"),
        ("predict.py", "label_mpa", "label_map"),
        ("predict.py", "labelmap", "label_map"),
    ],
)
def test_a_misspelt_flag_is_no_macro(command, flag, meant, tmp_path):
    completed = commands.command(ROOT / command, f"--{flag}=x", cwd=tmp_path)
    (line,) = commands.errors(completed)
    assert f"Did you mean: {meant} ?" in line and "gin" not in line


def test_a_misspelt_macro_of_training_is_told_only_where_it_does_something():
    values = cli.common_flags("gin_file")
    macro = "--lerning_rate: no such flag; if it is a macro, write --gin.LEARNING_RATE=VALUE"
    assert experiments.suggested("lerning_rate", [], values, True) == macro
    assert experiments.suggested("lerning_rate", [], values, True, unused=cli.OF_TRAINING) == ""


def test_what_is_trained_and_scored_is_read_by_all_commands():
    values = cli.common_flags("gin_file")
    told = experiments.suggested("train.dataset", [], values, True, unused=cli.OF_TRAINING)
    assert told.endswith("it is a setting: write --gin.train.dataset=VALUE")


def test_all_of_training_is_known_as_such():
    made = set()
    for path in (ROOT / "mosaic" / "training").glob("*.py"):
        made |= set(
            re.findall(
                r"^@gin.configurable.*\n(?:@.*\n)*(?:def|class) (\w+)", path.read_text(), re.M
            )
        )
    assert "train" in made
    assert made == {name for name in cli.OF_TRAINING if not name.isupper()}
