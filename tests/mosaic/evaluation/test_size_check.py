"""Images that are too small at a scale or in a window, told before the first is scored."""

import pytest

from mosaic.evaluation import size_check
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference import predictors
from mosaic.inference.predictors import Predictor
from mosaic.utils.errors import UserError


@pytest.mark.parametrize(
    "settings, start",
    [
        ({"scales": (1.0, 0.25)}, "Evaluation.scales = (1.0, 0.25): drawn val: images of 16x24"),
        ({"window": (64, 8)}, "Evaluation.window = (64, 8): drawn val: images of 64x8 are"),
        ({"input_size": (8, 8)}, "Evaluation.input_size = (8, 8): drawn val: images of 8x8 are"),
        ({"padded_size": (8, 8)}, "Evaluation.padded_size = (8, 8): drawn val: images of 8x8 are"),
    ],
)
def test_the_setting_is_named(small_network, drawn, settings, start):
    predictor = predictors.of_network(small_network)
    with pytest.raises(UserError) as caught:
        size_check.check(predictor, drawn, Evaluation(**settings))
    assert str(caught.value).startswith(start)


def test_an_image_is_named(small_network, drawn):
    dataset = type(drawn)()
    dataset.check_labels = dataset.fingerprint = lambda split: ()
    dataset.first_of_sizes = lambda split: {(8, 8): "a.png"}
    with pytest.raises(UserError, match=r"^a\.png: images of 8x8 are too small"):
        size_check.check(predictors.of_network(small_network), dataset, Evaluation())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scales": (1.0, 2.0), "window": (64, 64)},
        {"scales": (0.1,), "padded_size": (64, 64)},  # scaled back to one size
    ],
)
def test_what_fits_passes(small_network, drawn, settings):
    size_check.check(predictors.of_network(small_network), drawn, Evaluation(**settings))


def test_a_file_of_one_size_gets_that(drawn, capsys):
    predictor = Predictor(None, "tflite", 3, input_size=(8, 8), traceable=False)
    size_check.check(predictor, drawn, Evaluation(scales=(0.1,), padded_size=[8, 8]))
    assert not capsys.readouterr().err
    size_check.check(predictor, drawn, Evaluation(padded_size=(99999, 99999)))
    told = "takes 8x8 alone, and Evaluation.padded_size = (99999, 99999) does not count"
    assert told in capsys.readouterr().err
