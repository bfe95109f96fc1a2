"""How exports are compared with their networks."""

import contextlib
import types

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic.evaluation.protocols import Evaluation
from mosaic.export import tolerances
from mosaic.export.parity import Agreement, EvaluationSplit, check, warn_of_one_class
from mosaic.export.tolerances import Limit
from mosaic.inference.letterbox import letterbox
from mosaic.inference.predictors import Predictor, of_network
from mosaic.models import resizing
from mosaic.utils.errors import RunError, UserError

ANY = Limit(None, 0.0)


@pytest.fixture(scope="module")
def network():
    """Dark, bright or neither, by red alone, at half the image's size."""
    images = tf_keras.Input([None, None, 3])
    red = tf_keras.layers.AveragePooling2D(2)(images)[..., :1]
    logits = tf_keras.layers.Concatenate()([127.0 - red, red - 127.0, 0.0 * red - 60.0])
    return tf_keras.Model(images, logits)


def shifted(network, by):
    """An export whose logits of the first class differ."""
    logits = of_network(network).logits

    def run(images):
        return logits(tf.constant(images), images.shape[1:3]) + tf.constant([by, 0.0, 0.0])

    return Predictor(run, "tflite", 3, traceable=False)


def labels(network, size=None):
    """An export that answers with labels."""
    logits = of_network(network).logits

    def run(images):
        return resizing.predictions(
            logits(tf.constant(images), images.shape[1:3]), images.shape[1:3]
        )

    return Predictor(run, "tflite", None, size, traceable=False)


def test_differences_are_measured(network, drawn):
    result = check(network, shifted(network, 1.5), list(drawn.images[:2]), ANY, "x")
    assert result.difference == pytest.approx(1.5)
    assert result.mean_difference == pytest.approx(0.5, abs=1e-4)
    assert result.images == 2
    assert 0.9 < result.equal < 1
    assert result.mean_iou is None
    assert "logit difference at most 1.5, 0.5 on average, 9" in str(result)


def test_labels_have_no_logits(network, drawn):
    result = check(network, labels(network), [drawn.images[0]], ANY, "x")
    assert result == Agreement(None, None, 1.0, 1)
    assert str(result) == "100.0000 % equal pixels on 1 image"


def test_the_limit_grows_with_the_logits(network, drawn):
    """As the rounding of float32 does: a network that was hardly trained has logits of hundreds."""
    result = check(network, shifted(network, 0.5), [drawn.images[0]], ANY, "x")
    factor = result.largest / tolerances.USUAL_LOGIT
    assert factor > 2
    for scale, passes in ((1.01, True), (0.99, False)):
        limit = Limit(scale * result.difference / factor, 0.0)
        with contextlib.nullcontext() if passes else pytest.raises(RunError):
            check(network, shifted(network, 0.5), [drawn.images[0]], limit, "x")


def test_one_class_everywhere_is_told(network, drawn, capsys):
    several = check(network, labels(network), list(drawn.images[:2]), ANY, "x")
    warn_of_one_class("x.tflite", several, drawn.class_names)
    assert capsys.readouterr().err == ""
    bright = [np.full([64, 96, 3], 200, np.uint8)] * 2
    result = check(network, labels(network), bright, ANY, "x")
    assert result.only_class == 1
    warn_of_one_class("x.tflite", result, drawn.class_names)
    assert "x.tflite: the network predicts 'bright' everywhere in the 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("by", "limit", "told"),
    [
        (50.0, Limit(0.4, 0.0), "and a logit difference of "),
        (300.0, Limit(None, 0.9), "90 % equal pixels"),
        (float("nan"), Limit(0.4, 0.0), "logit difference at most nan"),
        (float("nan"), ANY, "logit difference at most nan"),
    ],
)
def test_too_far(network, drawn, by, limit, told):
    with pytest.raises(RunError, match="nothing was kept") as caught:
        check(network, shifted(network, by), [drawn.images[0]], limit, "x.tflite")
    assert told in str(caught.value)
    assert str(caught.value).startswith("x.tflite: ")


def score(predictor, drawn, size=None, argmax_before_resize=False):
    """mIoU by another way: all pixels at once."""
    answers = predictor(
        drawn.images, input_size=size, argmax_before_resize=argmax_before_resize
    ).numpy()
    counted = drawn.labels != 255
    hits = [np.sum(counted & (answers == c) & (drawn.labels == c)) for c in range(3)]
    either = [np.sum(counted & ((answers == c) | (drawn.labels == c))) for c in range(3)]
    return np.mean([h / e for h, e in zip(hits, either) if e])


def test_both_are_scored(network, drawn):
    split = EvaluationSplit(network, drawn, Evaluation(batch_size=2))
    export = shifted(network, 40.0)
    result = check(network, export, [drawn.images[0]], ANY, "x", split)
    before, after = score(of_network(network), drawn), score(export, drawn)
    assert result.mean_iou == pytest.approx((before, after))
    assert before > after + 0.01
    assert result.kept == pytest.approx(after / before)
    assert result.scored == 5
    assert f"mIoU {100 * before:.2f} before and {100 * after:.2f} after on 5 images" in str(result)


def test_the_network_gets_images_of_the_exports_size(network, drawn):
    """What the export loses is not what a smaller image loses."""
    split = EvaluationSplit(network, drawn, Evaluation())
    before, after = split.mean_iou(labels(network, (16, 24)))
    assert before == after == pytest.approx(score(of_network(network), drawn, (16, 24), True))
    assert before != pytest.approx(score(of_network(network), drawn, (16, 24)))


@pytest.mark.parametrize("size", [None, (32, 32)])
def test_both_get_padded_images(network, drawn, size):
    """As `eval.py` gives them: not squeezed."""
    evaluation = Evaluation(padded_size=(48, 48))
    split = EvaluationSplit(network, drawn, evaluation)
    padded = letterbox(of_network(network), size or (48, 48), evaluation.padding)
    before, after = split.mean_iou(labels(network, size))
    as_labels = letterbox(labels(network), size or (48, 48), evaluation.padding)
    assert before == after == pytest.approx(score(as_labels, drawn))
    before, after = split.mean_iou(of_network(network))
    whole = letterbox(of_network(network), (48, 48), evaluation.padding)
    assert before == after == pytest.approx(score(whole, drawn))
    assert score(padded, drawn) != pytest.approx(score(of_network(network), drawn, (48, 48)))


def test_the_network_is_scored_once_for_each_size(network, drawn):
    split = EvaluationSplit(network, drawn, Evaluation())
    for size in (None, (64, 96), (32, 48)):
        split.mean_iou(labels(network, size))
    assert len(split._before) == 2


def test_too_little_of_the_mean_iou_is_kept(network, drawn):
    split = EvaluationSplit(network, drawn, Evaluation())
    export = shifted(network, 40.0)
    kept = check(network, export, [drawn.images[0]], ANY, "x", split).kept
    check(network, export, [drawn.images[0]], Limit(None, 0.0, kept - 0.01), "x", split)
    with pytest.raises(RunError, match=r"% of the mIoU\); nothing was kept"):
        check(network, export, [drawn.images[0]], Limit(None, 0.0, kept + 0.01), "x", split)


def test_nothing_to_score_on(network, drawn):
    blank = types.SimpleNamespace(
        name="blank",
        num_classes=3,
        ignore_label=255,
        class_names=drawn.class_names,
        image_size=None,
        num_images=lambda split: 1,
        eval_batches=lambda split, size: [
            (tf.constant(drawn.images[:1]), tf.fill([1, 64, 96], 255))
        ],
    )
    with pytest.raises(UserError, match="blank val: no labelled pixels"):
        EvaluationSplit(network, blank, Evaluation()).mean_iou(labels(network))


def test_a_wide_miss_is_told():
    limit = Limit(None, 0.8, 0.96, 0.95, 0.975)
    assert Agreement(None, None, 0.96, 4, (0.5, 0.49), 4).misses(limit) == ""
    assert Agreement(None, None, 0.96, 4).misses(limit) == ""
    assert Agreement(None, None, 0.9, 4).misses(limit) == "95 % equal pixels"
    both = Agreement(None, None, 0.9, 4, (0.5, 0.485), 4).misses(limit)
    assert both == "95 % equal pixels and 97.5 % of the mIoU kept"


def test_nothing_to_keep(network, drawn):
    """A network that is right nowhere: the same class everywhere, which does not occur."""
    none = tf_keras.Model(network.inputs, network.output * 0.0 + [0.0, 0.0, 1.0])
    split = EvaluationSplit(none, drawn, Evaluation())
    limit = Limit(None, 0.0, 0.96, 0.0, 0.99)
    result = check(none, labels(none), [drawn.images[0]], limit, "x", split)
    assert result.mean_iou == (0.0, 0.0)
    assert result.kept is None
    assert "(nothing to keep)" in str(result)
    assert result.misses(limit) == ""
