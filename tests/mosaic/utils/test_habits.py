"""What users of other programs write."""

import re

import pytest

import commands
from commands import ROOT
from mosaic import config
from mosaic.utils import gin_text, habits


def test_names_of_other_programs_stand_for_flags_and_settings_that_are_there():
    flags = set()
    for door in ("train", "eval", "export", "predict", "benchmark", "check_data"):
        completed = commands.command(ROOT / f"{door}.py", "--help", cwd=ROOT)
        flags |= set(re.findall(r"^  --([a-z_]+):", completed.stdout, re.MULTILINE))
    macros = config.statements([config.find("mosaic_cityscapes")])
    known = set(gin_text.macros_set(macros))
    for name, meant in habits._BY_NAME.items():
        for given in meant:
            setting = given.removeprefix("gin.")
            if given == "FILE":
                continue
            if setting == given:
                assert given in flags, name
            elif setting.isupper():
                assert setting in {*known, "LABEL_MAP", "NAME"}, name
            else:
                assert config.settings_called(setting) == [setting], name


def test_what_is_meant_is_told_by_the_flags_that_a_command_has():
    assert habits.meant_flag("weights", ["model", "checkpoint"]) == "model"
    assert habits.meant_flag("weights", ["checkpoint", "gin_file"]) == "checkpoint"
    assert habits.meant_flag("weights", ["gin_file"]) == ""
    assert habits.meant_settings("weights") == ["INIT_CHECKPOINT"]


def test_going_on_is_no_start_from_weights():
    assert habits.meant_flag("resume_from", ["model_dir"]) == "model_dir"
    assert habits.meant_settings("resume_from") == []
    assert habits.meant_settings("load_from") == ["INIT_CHECKPOINT"]


@pytest.mark.parametrize("name", ["conf", "prob", "probability", "workers", "num_workers"])
def test_flags_that_only_sound_alike_are_none(name):
    assert habits.is_known(name)
    assert habits.meant_flag(name, ["confidence", "threads"]) == ""
    assert habits.meant_settings(name) == []


def test_a_name_that_no_program_has_is_unknown():
    assert not habits.is_known("xyzzy")


@pytest.mark.parametrize("name, means", [("graph", True), ("model", True), ("arch", False)])
def test_names_of_a_models_file(name, means):
    assert habits.means_file(name) is means


@pytest.mark.parametrize("name", ["epochs", "Epochs", "MAX_EPOCHS"])
def test_epochs_are_counted_otherwise(name):
    assert habits.remark(name) == ", in steps of BATCH_SIZE images"
    assert habits.remark("steps") == ""
