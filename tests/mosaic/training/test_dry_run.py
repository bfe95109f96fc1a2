"""What a run would be, told without data."""

import re

import gin
import pytest

from mosaic import cli, config
from mosaic.models import quantization_aware  # noqa: F401 - registers what gin files bind
from mosaic.training import dry_run
from mosaic.training.train_loop import run
from mosaic.utils.errors import UserError


@pytest.fixture
def camvid():
    given = ["CROP_SIZE = (64, 96)", "BATCH_SIZE = 2", "mosaic.bins = (1, 4)"]
    cli.configure([config.find("mosaic_camvid")], given, None, cli.NO_FILES)


def test_everything_is_told(camvid):
    text = dry_run.show()
    lines = text.splitlines()
    assert "train.steps = 2760  # TRAIN_STEPS" in lines
    assert "mosaic.bins = (1, 4)" in lines
    assert "sgd.nesterov = False  # default" in lines
    assert "CrossEntropy.top_k = 1.0  # default" in lines
    assert "backbone_00_conv (Conv2D)" in text
    assert "multiply-adds at 64x96" in text
    gibibytes = re.search(r"about ([\d.]+) GiB for steps of 2 images of 64x96", text)
    assert 0.9 < float(gibibytes[1]) < 1.5
    assert {"step 0: 0", "step 138: 0.0477", "step 2760: 0"} <= set(lines)


def test_frozen_layers_are_shown_and_checked(camvid):
    with gin.unlock_config():
        gin.bind_parameter("train.frozen_prefixes", ("backbone_",))
    trained, frozen = re.findall(r"rainable params: (\d+)", dry_run.show())
    assert int(trained) < int(frozen)
    with gin.unlock_config():
        gin.bind_parameter("train.frozen_prefixes", ("backbon_",))
    with pytest.raises(UserError, match=r"train\.frozen_prefixes: .* did you mean 'backbone_'\?"):
        dry_run.show()


def _fails(function, name, *bindings):
    with pytest.raises(UserError) as error:
        cli.configure([config.find(name)], bindings, None, cli.NO_FILES)
        function()
    return str(error.value)


LACKS = "train.loss, train.optimizer, train.steps, train.batch_size"


@pytest.mark.parametrize(
    ("function", "lacks"),
    [
        (dry_run.show, f"{LACKS}, train.eval_interval and Augment.crop_size"),
        # A data set of one's own may crop by itself.
        (lambda: run("nowhere"), f"{LACKS} and train.eval_interval"),
    ],
)
def test_what_only_scores_is_told_with_all_that_it_lacks(function, lacks):
    message = _fails(function, "ade20k_on_camvid")
    assert f"does not set {lacks}, which training needs; eval.py" in message


def test_what_does_not_even_score_is_told_otherwise(tmp_path):
    (tmp_path / "part.gin").write_text("train.steps = 3\n")
    message = _fails(lambda: run("nowhere"), str(tmp_path / "part.gin"))
    assert "does not set train.model, train.dataset, train.loss" in message
    assert message.endswith("which training needs; set them, or include an experiment")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("BATCH_SIZE = 10000000000000", "BATCH_SIZE = 10000000000000: it must be from 1 to 65,536"),
        ("CROP_SIZE = (50000, 50000)", "CROP_SIZE = (50000, 50000): a step has at most 2,147,"),
    ],
)
def test_steps_that_tensorflow_cannot_count_are_told(setting, message):
    assert message in _fails(dry_run.show, "mosaic_camvid", setting)
