"""What of a checkpoint belongs into a network: a classifier of other classes is left out."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.checkpoints import loading
from mosaic.models.deeplab import deeplab
from mosaic.utils.errors import UserError
from networks import randomize


def network(classes, **settings):
    return deeplab(classes, width_multiplier=0.1, aspp_filters=8, **settings)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = network(5)
    randomize(model.variables)
    path = str(tmp_path_factory.mktemp("fit") / "ckpt")
    tf.train.Checkpoint(model=model).write(path)
    return model, path


def test_a_classifier_of_other_classes_is_left_out(saved, capsys):
    old, path = saved
    model = network(3)
    before = {layer: model.get_layer(layer).get_weights() for layer in ("logits",)}
    loaded, left_out = loading.start_from(model, path)
    assert (left_out, loaded.format) == ({"logits"}, "mosaic")
    for layer in model.layers:
        expected = before.get(layer.name) or old.get_layer(layer.name).get_weights()
        for value, theirs in zip(layer.get_weights(), expected):
            np.testing.assert_array_equal(value, theirs)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "other classes and is left out; logits of this network learns anew" in said


def test_a_classifier_of_the_same_size_is_taken(saved, capsys):
    old, path = saved
    model = network(5)
    assert loading.start_from(model, path)[1] == frozenset()
    np.testing.assert_array_equal(model.get_layer("logits").kernel, old.get_layer("logits").kernel)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("settings", [{"decoder": True}, {"head_convs": 1, "head_filters": 8}])
def test_all_else_must_fit(saved, settings):
    with pytest.raises(UserError, match="does not fit this network"):
        loading.start_from(network(3, **settings), saved[1])


def test_scoring_wants_the_classifier_too(saved):
    with pytest.raises(UserError, match="NUM_CLASSES = 5"):
        loading.load(network(3), saved[1])
