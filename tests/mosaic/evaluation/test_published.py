"""Published figures, and when a run counts as having reproduced one."""

import json
import re

import pytest

from mosaic.config import UNKNOWN
from mosaic.evaluation import published
from mosaic.evaluation.protocols import PROTOCOLS
from mosaic.utils.errors import UserError

ROW = {
    "mean_iou": 0.7724,
    "settings": {"split": "val", "input_size": [1024, 2048], "scales": [1.0]},
    "recipe": {"train.steps": 100000},
}
HERE = {"split": "val", "input_size": (1024, 2048), "scales": [1.0], "dataset": "cityscapes"}


@pytest.mark.parametrize(
    ("mean_iou", "recipe", "status"),
    [
        (0.7724, None, published.REPRODUCED),
        (0.7729, None, published.REPRODUCED),
        (0.77291, None, published.NOT_REPRODUCED),
        (0.7718, None, published.NOT_REPRODUCED),
        (0.7680, {"train.steps": 100000}, published.REPRODUCED),
        (0.7673, {"train.steps": 100000}, published.NOT_REPRODUCED),
        (0.7900, {"train.steps": 100000}, published.REPRODUCED),
        (0.7724, {"train.steps": 90000}, published.NOT_COMPARABLE),
        (0.7724, {}, published.NOT_COMPARABLE),
        (None, None, published.NOT_COMPARABLE),
    ],
)
def test_status(mean_iou, recipe, status):
    assert published.verdict(ROW, mean_iou, HERE, recipe)["status"] == status


@pytest.mark.parametrize(("mean_iou", "above"), [(0.7774, False), (0.7775, True), (0.7, False)])
def test_a_run_that_is_better_than_published_is_reproduced_above(mean_iou, above):
    verdict = published.verdict(ROW, mean_iou, HERE, {"train.steps": 100000})
    assert verdict["above"] == above
    assert published.lines(verdict)[0].startswith("reproduced, above (") == above


def test_what_is_not_known_of_a_run_is_told():
    """A path does not tell whether it was the backbone that the recipe names."""
    row = {**ROW, "recipe": {"train.init_checkpoint": "a backbone trained on ImageNet"}}
    recipe = {"train.init_checkpoint": "some/checkpoint"}
    verdict = published.verdict(row, 0.7724, HERE, recipe, not_known=["its start"])
    assert verdict["departures"] == []
    assert verdict["not_known"] == ["its start"]
    assert published.lines(verdict)[1:] == ["  its start: not known, left out"]


def test_published_weights_need_meet_the_figure_in_one_of_two_ways():
    for clean, garden, status in (
        (0.7724, 0.77, published.REPRODUCED),
        (0.77, 0.7726, published.REPRODUCED),
        (0.77, 0.775, published.NOT_REPRODUCED),
    ):
        verdict = published.verdict(ROW, clean, HERE, None, garden_mean_iou=garden)
        assert verdict["status"] == status
        assert [way["meets"] for way in verdict["ways"]] == [clean == 0.7724, garden == 0.7726]


def test_other_departures_are_listed_once():
    others = [{"setting": name, "here": 1, "published": 2} for name in ("split", "mosaic.bins")]
    verdict = published.verdict(
        ROW, 0.7724, {**HERE, "split": "test"}, {"train.steps": 100000}, others
    )
    assert [entry["setting"] for entry in verdict["departures"]] == ["split", "mosaic.bins"]


@pytest.mark.parametrize(
    ("change", "here"),
    [({"split": "train"}, "train"), ({"input_size": [512, 1024]}, [512, 1024]), ({}, "unknown")],
)
def test_a_run_that_departs_is_never_reproduced(change, here):
    settings = {**HERE, **change}
    if not change:
        del settings["split"]
    verdict = published.verdict(ROW, 0.7724, settings, None)
    assert verdict["status"] == published.NOT_COMPARABLE
    (departure,) = verdict["departures"]
    name = next(iter(change), "split")
    assert departure == {"setting": name, "here": here, "published": ROW["settings"][name]}


def test_weights_of_an_unpublished_recipe():
    row = {k: v for k, v in ROW.items() if k != "recipe"}
    assert published.verdict(row, 0.7724, HERE, None)["status"] == published.REPRODUCED
    assert published.verdict(row, 0.7724, HERE, {})["status"] == published.NOT_COMPARABLE


def test_lines_tell_every_departure():
    verdict = published.verdict(ROW, 0.78, {**HERE, "split": "test"}, {"train.steps": 5})
    first, *rest = published.lines(verdict)
    assert first == "not comparable (+0.76 points, 0.5 allowed)"
    assert rest == [
        "  split: test here, val published",
        "  train.steps: 5 here, 100000 published",
    ]


def test_other_numbers_have_a_figure_of_their_own_or_depart():
    row = {
        **ROW,
        "quantized": {"int8": {"one": 0.70, "other": 0.71}},
        "source": "them",
        "per_class_iou": {"road": 0.9},
    }
    row["settings"] = {**ROW["settings"], "numbers": "float32"}
    int8 = published.for_precision(row, "int8", 0.708)
    assert published.for_precision(row, "int8", 0.704)["mean_iou"] == 0.70
    assert int8["source"] == "them; int8 by other"
    assert int8["mean_iou"] == 0.71
    assert "per_class_iou" not in int8
    verdict = published.verdict(int8, 0.71, {**HERE, "numbers": "int8"}, None)
    assert verdict["status"] == published.REPRODUCED
    for numbers, status in (("float32", published.REPRODUCED), ("uint8", published.NOT_COMPARABLE)):
        same = published.for_precision(row, numbers, 0.7724)
        assert same["mean_iou"] == 0.7724
        assert same["per_class_iou"] == {"road": 0.9}
        here = {**HERE, "numbers": numbers}
        assert published.verdict(same, 0.7724, here, None)["status"] == status


def test_an_unknown_result_is_named():
    with pytest.raises(UserError, match="did you mean 'mosaic_cityscapes'"):
        published.result("mosaic_cityscape")


def test_the_table():
    table = json.loads(published._FILE.read_text())
    assert table["mosaic_cityscapes"]["mean_iou"] == 0.7724
    for key, row in table.items():
        assert published.result(key) == row
        assert 0.3 < row["mean_iou"] < 0.85
        assert re.search(r"/|arXiv|MLPerf", row["source"]), "a file, a paper or rules"
        assert ("recipe" in row) == ("recipe_source" in row) != ("recipe" in row["not_published"])
        assert "seed" in row["not_published"]
        assert row["settings"]["protocol"] in PROTOCOLS
        assert row["settings"]["split"] == "val"
        assert row["settings"]["num_images"] >= 500


@pytest.mark.parametrize(
    ("start", "here"),
    [
        ("runs/float/best_ckpt", None),
        (None, "none, from scratch"),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_only_that_there_is_an_initial_checkpoint_is_compared(start, here):
    name, theirs = "train.init_checkpoint", "a backbone"
    found = published.departures({name: theirs}, {name: start})
    assert found == ([{"setting": name, "here": here, "published": theirs}] if here else [])


def test_recipes_tell_what_training_starts_from():
    for row in json.loads(published._FILE.read_text()).values():
        assert bool(row.get("recipe")) == bool(row.get("recipe", {}).get("train.init_checkpoint"))


def test_what_a_file_keeps_to_itself_is_left_out():
    inside = {"normalization": "imagenet", "output_stride": 16}
    row = {**ROW, "settings": {**ROW["settings"], **inside}}
    here = {**HERE, "normalization": published.INSIDE}
    verdict = published.verdict(row, 0.7724, here, None)
    assert verdict["status"] == published.REPRODUCED
    assert verdict["departures"] == []
    assert verdict["not_known"] == ["normalization", "output_stride"]
    assert "  output_stride: not known, left out" in published.lines(verdict)
    verdict = published.verdict(row, 0.7724, {**here, "normalization": "symmetric"}, None)
    assert verdict["status"] == published.NOT_COMPARABLE
    assert [entry["setting"] for entry in verdict["departures"]] == ["normalization"]
    assert verdict["not_known"] == ["output_stride"]
