"""The warm-up of recipes that were shortened, and of those that were not."""

import gin
import pytest

import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from mosaic import config
from mosaic.training import warm_up
from mosaic.utils import gin_text

GIVEN = {"DATA_DIR": "x", "INIT_CHECKPOINT": "x", "LABEL_MAP": "camvid", "NUM_CLASSES": 11}
TRAINED = [p.stem for p in config.CONFIGS.glob("*.gin") if not p.stem.startswith("ade20k_on_")]


def _limited(files, *bindings):
    """The warm-up of a configuration, after it was limited."""
    files = [config.find(str(file)) for file in files]
    given = {**GIVEN, "CROP_SIZE": (64, 64)}
    bindings = [*(f"{x} = {given[x]!r}" for x in config.missing(files, [], list(given))), *bindings]
    config.parse(files, bindings)
    warm_up.limit(files, bindings)
    return gin.query_parameter("%WARMUP_STEPS")


@pytest.mark.parametrize("name", TRAINED)
def test_recipes_keep_theirs(name, capsys):
    written = gin_text.macros_set(config.statements([config.find(name)]))["WARMUP_STEPS"]
    assert _limited([name]) == written
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("steps", "shorter"), [(20, 4), (500, 100), (499, 99), (3, 0), (5000, 100)]
)
def test_a_shortened_recipe_has_a_shorter_one(steps, shorter, capsys):
    assert _limited(["mosaic_folders"], f"TRAIN_STEPS = {steps}") == shorter
    told = f"WARMUP_STEPS is {shorter}, 20% of TRAIN_STEPS = {steps}: the recipe's 100"
    assert (told in capsys.readouterr().err) == (shorter < 100)


def test_what_the_user_sets_stays_and_is_told(capsys):
    assert _limited(["mosaic_folders"], "WARMUP_STEPS = 10", "TRAIN_STEPS = 20") == 10
    warning = "warning: WARMUP_STEPS = 10 is more than 20% of TRAIN_STEPS = 20"
    assert warning in capsys.readouterr().err


def test_a_file_of_the_user(tmp_path, capsys):
    own = tmp_path / "own.gin"
    own.write_text("include 'mosaic_folders.gin'\nTRAIN_STEPS = 20\n")
    assert _limited([own]) == 4
    assert "warning" not in capsys.readouterr().err
    gin.clear_config()
    own.write_text("include 'mosaic_folders.gin'\nTRAIN_STEPS = 20\nWARMUP_STEPS = 9\n")
    assert _limited([own]) == 9
    assert "warning" in capsys.readouterr().err


def test_a_run_that_ends_before_its_decay_keeps_its_own(capsys):
    assert _limited(["mosaic_folders"], "train.steps = 20") == 100
    assert capsys.readouterr().err == ""


def test_a_schedule_without_warm_up(tmp_path, capsys):
    bindings = "TRAIN_STEPS = 20", "sgd.learning_rate = @polynomial_decay()"
    assert _limited(["mosaic_folders"], *bindings) == 100
    assert capsys.readouterr().err == ""
