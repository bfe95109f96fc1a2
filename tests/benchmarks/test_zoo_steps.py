"""The published networks after ten training steps."""

import gin
import pytest
import zoo_steps

import common  # noqa: F401 - makes the scripts importable
import measurement_records
from mosaic import config
from mosaic.config import CONFIGS


@pytest.fixture(autouse=True)
def cleared():
    yield
    gin.clear_config()


def test_networks_of_research_deeplab_were_measured_but_for_two(root):
    """The two are other networks with more or fewer classes."""
    found = measurement_records.read(root / "docs")[zoo_steps.RECORD]["networks"]
    networks = {path.stem for path in CONFIGS.glob("zoo_*.gin")}
    networks = {name for name in networks if not name.endswith("_multiscale")}
    assert networks - found.keys() == {"zoo_mnv2_cityscapes", "zoo_xception65_cityscapes"}
    assert all(row["classes"] > 1 for row in found.values())


@pytest.mark.parametrize("key", ["zoo_mnv2_ade20k", "zoo_mnv3_small_cityscapes"])
def test_averages_settle_and_scenes_are_scored_whole(key):
    zoo_steps.configure(key, None)
    settings = config.arguments(config.network())
    assert {v for k, v in settings.items() if k.endswith("norm_momentum")} == {0.5}
    assert config.value("CrossEntropy.class_weights") is None
    assert config.build("train.evaluation").padded_size is None


@pytest.mark.slow
def test_a_network_is_measured():
    found = zoo_steps.measure("zoo_mnv3_small_cityscapes")
    assert found["classes"] > 1 and found["equal"] > 0.5
