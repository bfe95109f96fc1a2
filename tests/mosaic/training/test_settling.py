"""Batch norm's averages in short runs."""

import pytest

from mosaic import cli, config
from mosaic.models import quantization_aware  # noqa: F401 - registers what gin files bind
from mosaic.training.settling import _settling, tell_slow_averages


def _told(capsys, name, *bindings):
    cli.configure([config.find(name)], bindings, None, cli.NO_FILES)
    capsys.readouterr()
    tell_slow_averages()
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "bindings"),
    [
        ("mosaic_camvid", []),
        ("mosaic_cityscapes", []),
        ("quickstart", []),
        ("mosaic_camvid", ["TRAIN_STEPS = 20", "mosaic.norm_momentum = 0.86"]),
        ("mosaic_camvid", ["TRAIN_STEPS = 20", "INIT_CHECKPOINT = 'x'"]),
        ("mosaic_camvid_qat", ["TRAIN_STEPS = 20", "INIT_CHECKPOINT = 'x'"]),
        ("zoo_mnv3_large_cityscapes", ["INIT_CHECKPOINT = None"]),
    ],
)
def test_nothing_is_told_of_averages_that_settle(capsys, name, bindings):
    assert _told(capsys, name, *bindings) == ""


@pytest.mark.parametrize(
    ("name", "steps", "share", "network", "instead"),
    [
        ("mosaic_camvid", 20, 82, "mosaic", 0.86),
        ("mosaic_camvid", 200, 13, "mosaic", 0.98),
        ("mosaic_camvid_qat", 20, 82, "mosaic", 0.86),
        ("deeplabv3_257", 1, 99, "deeplab", 0.05),
    ],
)
def test_a_short_run_is_told_with_a_momentum_for_it(capsys, name, steps, share, network, instead):
    given = [f"TRAIN_STEPS = {steps}", "INIT_CHECKPOINT = None"]
    told = _told(capsys, name, *given)
    noun = "step" if steps == 1 else "steps"
    beginning = f"warning: after {steps} {noun} batch norm's averages still hold {share} % of"
    assert told.startswith(beginning)
    assert told.endswith(f"; for so few steps set --gin.{network}.norm_momentum={instead}\n")


@pytest.mark.parametrize(
    ("name", "network", "steps", "backbone"),
    [
        ("zoo_mnv3_large_cityscapes", "lraspp", 20, 0.86),
        ("zoo_mnv3_large_cityscapes", "lraspp", 3000, 0.9),
        ("zoo_mnv2_ade20k", "deeplab", 3000, 0.9),
    ],
)
def test_a_head_that_follows_more_slowly_is_told_too(capsys, name, network, steps, backbone):
    given = [f"TRAIN_STEPS = {steps}", "INIT_CHECKPOINT = None"]
    told = _told(capsys, name, *given, f"{network}.norm_momentum = {backbone}")
    assert f": {network}.head_norm_momentum = 0.9997; for so few" in told


def test_two_that_are_too_slow_are_told_together(capsys):
    name, given = "zoo_mnv2_ade20k", ["TRAIN_STEPS = 20", "INIT_CHECKPOINT = None"]
    told = _told(capsys, name, *given, "deeplab.norm_momentum = 1.0")
    assert "deeplab.norm_momentum = 1 and deeplab.head_norm_momentum = 0.9997; for" in told
    assert "hold 100 % of" in told and told.count("--gin.") == 2


@pytest.mark.parametrize("steps", [1, 5, 20, 99, 500])
def test_the_averages_settle_with_it(steps):
    assert _settling(steps) ** steps <= 0.05 < (_settling(steps) + 0.01) ** steps
