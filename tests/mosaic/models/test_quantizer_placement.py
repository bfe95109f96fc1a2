"""Where a network is rounded to 8 bits, and which places share a range."""

import tf_keras

from mosaic.models import quantizer_placement
from mosaic.models.inputs import image_input
from mosaic.models.layers import Norm, conv_bn, depthwise_bn
from mosaic.models.mosaic import mosaic


def _sharing(network, name):
    """The names of the sites that share the range of one of them."""
    found = {site.name: site for site in quantizer_placement.sites(network)}
    return {key for key, site in found.items() if site.group == found[name].group}


def test_tensors_that_meet_share_a_range(small_network):
    """By pooling, concatenation and resizes; not the size alone of a resize's second input."""
    assert _sharing(small_network, "encoder_bins1_relu_range") == {
        "backbone_17_relu_range",
        "encoder_bins4_pool_range",
        "encoder_group0_project_relu_range",
        "encoder_group1_project_relu_range",
        "encoder_bins1_relu_range",
    }
    assert _sharing(small_network, "encoder_project_relu_range") == {
        "backbone_06_spatial_relu_range",
        "encoder_project_relu_range",
    }
    assert _sharing(small_network, "logits_range") == {"logits_range"}


def test_zeros_around_a_map_share_its_range():
    inputs, x = image_input("symmetric")
    x = conv_bn(Norm(), "first", 4, 3, 2, padding="centred")(x)
    x = depthwise_bn(Norm(), "second", 3, 2, padding="centred")(x)
    found = [site.name for site in quantizer_placement.sites(tf_keras.Model(inputs, x))]
    assert found == ["first_relu_range", "second_relu_range"]


def test_each_use_of_a_layer_has_a_range_of_its_own():
    network = mosaic(3, bins=(1, 2, 4))
    first, second = "encoder_group0_spatial_relu_range", "encoder_group0_spatial_relu_range2"
    assert _sharing(network, first) == {first}
    assert _sharing(network, second) == {second}


def test_what_becomes_one_operator_is_rounded_once(small_network):
    found = {site.name: site for site in quantizer_placement.sites(small_network)}
    assert {"backbone_01_expand_relu_range", "backbone_01_project_bn_range"} <= found.keys()
    assert not any("conv" in name or "depthwise" in name for name in found)
    assert not {"normalize_range", "backbone_01_expand_bn_range"} & found.keys()
    assert found["backbone_01_project_bn_range"].signed
    assert not found["backbone_01_expand_relu_range"].signed
