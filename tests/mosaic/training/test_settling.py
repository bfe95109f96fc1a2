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
    ],
)
def test_nothing_is_told_of_averages_that_settle(capsys, name, bindings):
    assert _told(capsys, name, *bindings) == ""


@pytest.mark.parametrize(
    ("name", "steps", "share", "network", "instead"),
    [
        ("mosaic_camvid", 20, "82%", "mosaic", 0.86),
        ("mosaic_camvid", 200, "13%", "mosaic", 0.98),
        ("mosaic_camvid_qat", 20, "82%", "mosaic", 0.86),
        ("deeplabv3_257", 1, "99%", "deeplab", 0.05),
    ],
)
def test_a_short_run_is_told_with_a_momentum_for_it(capsys, name, steps, share, network, instead):
    given = [f"TRAIN_STEPS = {steps}", "INIT_CHECKPOINT = None"]
    told = _told(capsys, name, *given)
    assert told.startswith(f"after {steps} steps batch norm's averages still hold {share} of")
    assert told.endswith(f"(--gin.{network}.norm_momentum={instead} is for these)\n")


@pytest.mark.parametrize("steps", [1, 5, 20, 99, 500])
def test_the_averages_settle_with_it(steps):
    assert _settling(steps) ** steps <= 0.05 < (_settling(steps) + 0.01) ** steps
