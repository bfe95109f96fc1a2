"""docs/model_zoo.md and what it is rendered from."""

import gin
import model_zoo
import pytest

import measurement_records
from mosaic.evaluation import published


def test_the_page_is_what_the_records_say(root):
    text = (root / "docs" / "model_zoo.md").read_text()
    assert text == model_zoo.render(root / "docs"), "run `make results`"


def test_every_published_result_is_in_it(root):
    tables = model_zoo.rows(root / "docs")
    keys = [row["key"] for table in tables.values() for row in table]
    assert sorted(keys) == sorted(published.results())
    for table in tables.values():
        for row in table:
            text = "\n".join(row["commands"])
            assert f"--gin_file={row['key']} " in text
            assert (f"INIT_CHECKPOINT={row.get('checkpoint')}" in text) == ("checkpoint" in row)
            assert ("checkpoint" in row) >= row["key"].startswith("zoo_")


def test_costs_are_counted(root):
    record = measurement_records.read(root / "docs")[model_zoo.RECORD]["networks"]
    key = "zoo_mnv2_dm05_pascal"
    assert model_zoo.count(key) == record[key]
    assert not gin.config_str()


@pytest.mark.parametrize(
    ("key", "share"),
    [
        ("zoo_mnv2_dm05_pascal", 0.02),
        ("zoo_mnv2_pascal", 0.005),
        ("zoo_mnv2_pascal_multiscale", 0.002),
        ("zoo_mnv2_cityscapes_multiscale", 0.002),
        ("zoo_xception65_pascal", 0.003),
        ("zoo_xception65_pascal_multiscale", 0.001),
        ("zoo_xception65_cityscapes", 0.001),
    ],
)
def test_multiply_adds_are_the_published_ones(root, key, share):
    """DeepLab's page counts somewhat more than convolutions."""
    found = measurement_records.read(root / "docs")[model_zoo.RECORD]["networks"][key]
    theirs = published.result(key)["multiply_adds"]
    assert 1 - share < found["multiply_adds"] / theirs <= 1


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (8.673e12, "8,673"), (21.27e9, "21.3"), (0.88e9, "0.88")]
)
def test_billions(value, text):
    assert model_zoo.billions(value) == text


@pytest.mark.parametrize("key", model_zoo.MOBILENETV3)
def test_mobilenetv3s_published_multiply_adds_are_operations(root, key):
    record = measurement_records.read(root / "docs")[model_zoo.RECORD]
    missing = published.result(key)["multiply_adds"] - record["operations"][key]
    assert 0.4e9 < missing < 0.5e9
    assert record["operations"][key] > 2 * record["networks"][key]["multiply_adds"]
