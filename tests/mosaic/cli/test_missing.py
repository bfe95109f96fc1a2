"""What is missing is asked for at once."""

import pytest

import commands
from commands import ROOT


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
            ["--gin_file=mosaic_camvid", "--checkpoint=x", "--evaluate"],
            "give --export_dir=DIR; and for mosaic_camvid --data_dir=DIR",
        ),
        (
            "export.py",
            ["--gin_file=mosaic_camvid", "--checkpoint=.", "--export_dir=x", "--evaluate"],
            f"{ROOT}/configs/mosaic_camvid.gin needs images: give --data_dir=DIR, its data set",
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
    completed = commands.command(ROOT / command, *arguments, cwd=tmp_path)
    assert completed.returncode == 2
    assert commands.errors(completed) == [f"{command}: {told}"]


def test_an_experiment_that_is_not_there_is_told_before_what_else_is_missing(tmp_path):
    completed = commands.command(ROOT / "train.py", "--gin_file=mosaic_folder", cwd=tmp_path)
    assert "did you mean 'mosaic_folders'?" in completed.stderr
    assert "--model_dir" not in completed.stderr
