"""Which layers make the logits."""

import pytest

from mosaic.models.classifier import classifier
from mosaic.models.deeplab import deeplab
from mosaic.models.lraspp import lraspp
from mosaic.models.mosaic import mosaic

NETWORKS = {
    "deeplab": lambda: deeplab(3, width_multiplier=0.1, decoder=True, head_convs=1),
    "lraspp": lambda: lraspp(3, "MobileNetV3SmallReducedFilters", 0.1),
    "mosaic": lambda: mosaic(3),
}
LAYERS = {
    "deeplab": {"logits"},
    "lraspp": {"logits_high", "logits_low"},
    "mosaic": {"decoder1_project_conv", "decoder1_project_bn"}
    | {"decoder2_high_conv", "decoder2_high_bn"},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layers_of_the_classes(name):
    model = NETWORKS[name]()
    found = classifier(model)
    assert found == LAYERS[name]
    for layer in model.layers:
        shapes = {weight.shape[-1] for weight in layer.weights}
        assert (layer.name in found) == (shapes == {3})
