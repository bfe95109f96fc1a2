"""Latency of the published networks."""

import pytest
import zoo_latency

import common  # noqa: F401 - makes the scripts importable
import measurement_records
from mosaic.evaluation import published


def test_networks_that_are_scored_at_one_scale(root):
    keys = set(zoo_latency.costs(root / "docs"))
    assert {"zoo_mnv2_pascal", "mosaic_cityscapes"} <= keys < set(published.results())
    for key in keys:
        settings = published.result(key)["settings"]
        assert len(settings["scales"]) == 1 and not settings["flip"]


def test_every_one_was_timed(root):
    record = measurement_records.read(root / "docs")[zoo_latency.RECORD]
    assert set(record["milliseconds"]) == set(zoo_latency.costs(root / "docs"))


@pytest.mark.slow
def test_a_file_is_written_and_timed(tmp_path):
    path = tmp_path / "zoo_mnv2_ade20k.tflite"
    zoo_latency.write(path.stem, path)
    assert zoo_latency.measure([path], runs=1, warmup=0)[path.stem] > 0
