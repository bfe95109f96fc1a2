"""Layers that training leaves as they are."""

import numpy as np
import pytest
from tiny_training import tiny

from mosaic.models.freezing import freeze
from mosaic.models.mosaic import mosaic
from mosaic.models.quantization_aware import quantize_aware
from mosaic.training import train_loop
from mosaic.training.optimizers import sgd
from mosaic.utils.errors import UserError


@pytest.mark.parametrize("wrap", [lambda model: model, quantize_aware])
def test_no_variable_of_frozen_layers_is_trained(wrap):
    model = wrap(mosaic(3, bins=(1, 4)))
    before = {variable.name for variable in model.variables}
    freeze(model, ["backbone_"])
    names = {variable.name for variable in model.trainable_variables}
    assert names
    assert not any(name.startswith("backbone_") for name in names)
    assert {variable.name for variable in model.variables} == before


def test_frozen_layers_stay_as_they_are(drawn, tmp_path):
    arguments = tiny(drawn, optimizer=sgd(0.1))
    before = arguments["model"].get_weights()
    train_loop.train(str(tmp_path), **arguments, frozen_prefixes="first")
    after = arguments["model"].get_weights()
    same = [np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert same == [True, True, False, False]


def test_nothing_to_freeze_or_to_train_is_told(drawn):
    model = tiny(drawn)["model"]
    with pytest.raises(UserError, match="no layer of the network begins with 'backbone_'"):
        freeze(model, ["backbone_"])
    with pytest.raises(UserError, match="leaves nothing to train"):
        freeze(model, [""])
