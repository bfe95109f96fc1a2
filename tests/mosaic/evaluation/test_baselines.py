"""What answers without a network score."""

from answers import dark
from mosaic.evaluation import loop
from mosaic.evaluation.baselines import Baselines
from mosaic.evaluation.evaluator import Origin, evaluate
from mosaic.evaluation.protocols import Evaluation


def test_baselines_know_colours_and_nothing_else(drawn, tmp_path):
    report = evaluate(dark, drawn, Evaluation(baselines=True), Origin("c"), str(tmp_path))
    # Blocks of one colour have one label, so that here a lookup of colours is nearly perfect.
    assert report["baselines"]["colour lookup"] > 0.95
    assert report["baselines"]["constant"] < 0.5


def test_baselines_leave_out_what_the_protocol_leaves_out(drawn):
    """Then one class is left, which a constant meets everywhere or nowhere."""
    baselines = Baselines(drawn)
    loop.run(lambda images, labels: labels * 0, drawn, "val", [baselines])
    assert 0.1 < baselines.mean_iou()["constant"] < 0.5
    found = [baselines.mean_iou((index,))["constant"] for index in (0, 1)]
    assert sorted(found) == [0.0, 1.0]
