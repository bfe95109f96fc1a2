"""What chance may do: counts of images in reports, the bootstrap, runs of several seeds."""

import json

import numpy as np
import pytest

from mosaic.evaluation import chance, metrics
from mosaic.evaluation.experiments import differences, experiments, lines
from mosaic.evaluation.html_comparison import DATA, FILE, compare
from mosaic.evaluation.image_counts import mean_iou, outcomes, pack, unpack
from mosaic.utils.errors import UserError
from pages import made_report

IMAGES, CLASSES = 40, 4


def images(skill, count=IMAGES, seed=7):
    """`outcomes` of images on which a network is right as often as `skill`, about."""
    rng = np.random.default_rng(seed) if isinstance(seed, int) else seed
    hits = rng.binomial(1000, np.clip(skill + rng.normal(0, 0.05, (count, CLASSES)), 0, 1))
    return np.stack([hits, (1000 - hits) // 2, 1000 - hits], 1).astype(np.int32)


@pytest.mark.parametrize("ignored", [(), (2,)])
def test_counts_give_the_figures_of_the_confusion_matrix(ignored):
    matrices = np.random.default_rng(0).integers(0, 50, (6, CLASSES, CLASSES + 1))
    matrices[:, 1] = 0
    matrices[:, :, 1] = 0  # A class that does not occur.
    found = np.array([outcomes(matrix, ignored) for matrix in matrices])
    assert mean_iou(found.sum(0)) == pytest.approx(metrics.mean_iou(matrices.sum(0), ignored))
    np.testing.assert_allclose(mean_iou(found), [metrics.mean_iou(m, ignored) for m in matrices])


def test_counts_of_nothing_have_no_figure():
    assert np.isnan(mean_iou(np.zeros((3, CLASSES), np.int64)))


def test_packed_counts_are_read_back_and_small():
    found = images(0.7, 500)
    table = json.loads(json.dumps(pack(found)))
    np.testing.assert_array_equal(unpack(table), found)
    assert len(table["data"]) < found.nbytes


@pytest.mark.parametrize(
    "damage",
    [
        {"shape": None},
        {"shape": [IMAGES, 3]},
        {"shape": [IMAGES, 3, True]},
        {"shape": [IMAGES, 3, 10**12]},
        {"shape": [IMAGES, 3, CLASSES + 1]},
        {"shape": [IMAGES - 1, 3, CLASSES]},
        {"data": "!"},
        {"data": "AAAA"},
        {"data": None},
    ],
)
def test_damaged_counts_are_told(damage):
    with pytest.raises(ValueError, match="counts"):
        unpack({**pack(images(0.7)), **damage})


def test_a_network_differs_from_itself_by_nothing():
    run = images(0.7)
    found = chance.difference([run], [run])
    assert (found["difference"], found["lower"], found["upper"]) == (0, 0, 0)
    assert not found["more_than_chance"]


def test_a_better_network_differs_by_more_than_chance():
    found = chance.difference([images(0.8)], [images(0.6)])
    assert 0 < found["lower"] < found["difference"] < found["upper"]
    assert found["more_than_chance"] and found["drawn"] == "images"
    other = chance.difference([images(0.6)], [images(0.8)])
    assert other["upper"] < 0 and other["more_than_chance"]


def test_as_seldom_as_it_says_a_difference_is_found_where_there_is_none():
    rng = np.random.default_rng(1)
    found = [
        chance.difference([images(0.7, seed=rng)], [images(0.7, seed=rng)])["more_than_chance"]
        for _ in range(60)
    ]
    assert sum(found) <= 9  # Of 60, 3 are expected; more than 9 once in a thousand times.


def test_seeds_widen_what_chance_may_do():
    """Two pairs of runs that scatter by more than the difference of their means."""
    first, second = [images(0.6), images(0.8)], [images(0.64), images(0.84)]
    both = chance.difference(first, second)
    assert not both["more_than_chance"] and both["drawn"] == "images and runs"
    alone = chance.difference(first[:1], second[:1])
    assert both["upper"] - both["lower"] > 3 * (alone["upper"] - alone["lower"])


def scored(skill, experiment=None, seed=0, **changes):
    """A report of a network."""
    found = images(skill, seed=seed)
    training = {"experiment": experiment, "seed": seed, "steps": 10} if experiment else None
    return {
        **made_report(),
        "mean_iou": float(mean_iou(found.sum(0))),
        "images": [{"id": str(i), "mean_iou": 0.5} for i in range(IMAGES)],
        "image_counts": pack(found),
        "training": training,
        **changes,
    }


def test_runs_that_differ_in_seeds_alone_are_one_experiment():
    reports = [scored(0.7, "a"), scored(0.6), scored(0.72, "a", 1), scored(0.6)]
    found = experiments(["x/s0", "y", "x/s1", "z"], reports)
    assert [(one.name, one.runs) for one in found] == [
        ("x/s (2 runs)", (0, 2)),
        ("y", (1,)),
        ("z", (3,)),
    ]
    scores = [reports[0]["mean_iou"], reports[2]["mean_iou"]]
    assert found[0].mean == pytest.approx(np.mean(scores))
    assert found[0].deviation == pytest.approx(np.std(scores, ddof=1))
    assert found[1].deviation is None


def test_one_experiment_scored_in_two_ways_is_two():
    reports = [scored(0.7, "a"), scored(0.7, "a", settings={"flip": True})]
    assert len(experiments(["x", "y"], reports)) == 2


def test_only_what_was_scored_on_the_same_images_is_compared():
    first = scored(0.8)
    without = {k: v for k, v in scored(0.6).items() if k != "image_counts"}
    others = [(scored(0.6), 1), (scored(0.6, images=[{"id": "other"}]), 0), (without, 0)]
    for other, count in others:
        found = experiments(["x", "y"], [first, other])
        assert len(differences(found, [first, other])) == count


def test_the_table_the_page_and_the_data_say_it(tmp_path):
    runs = {"good0": scored(0.8, "a"), "good1": scored(0.81, "a", 1), "bad": scored(0.6)}
    for name, report in runs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(report))
    text = compare([str(tmp_path / name) for name in runs], str(tmp_path / "out"))
    assert "good (2 runs): mIoU" in text and "standard deviation" in text
    assert "good (2 runs) - bad: +" in text
    assert text.endswith("more than chance; by the choice of images alone")
    page = (tmp_path / "out" / FILE).read_text()
    assert "What chance may do" in page and "good (2 runs) less bad" in page
    data = json.loads((tmp_path / "out" / DATA).read_text())
    assert [one["name"] for one in data["experiments"]] == ["good (2 runs)", "bad"]
    assert data["differences"][0]["more_than_chance"] is True
    assert [run["name"] for run in data["runs"]] == list(runs)


def test_a_report_with_damaged_counts_is_named(tmp_path):
    paths = []
    for name, changes in (("a", {}), ("b", {"image_counts": {"shape": [1], "data": ""}})):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(scored(0.7, **changes)))
    with pytest.raises(UserError, match=r"b\.json: not a report \(.*counts"):
        compare(list(map(str, paths)), str(tmp_path / "out"))


def test_no_difference_is_said_so():
    pair = {"difference": 0.001, "lower": -0.002, "upper": 0.003, "more_than_chance": False}
    (line,) = lines([], [{**pair, "first": "a", "second": "b", "drawn": "images and runs"}])
    assert line == "a - b: +0.10 points, 95 % between -0.20 and +0.30: no more than chance"
