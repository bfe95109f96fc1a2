"""The input of networks: how images are normalised, and which sizes are too small."""

import pytest
import tf_keras

from mosaic.models import inputs
from mosaic.utils.errors import UserError


@pytest.mark.parametrize("size", [(240, 300), (300, 240), (64, 64)])
def test_check_size(paper, size):
    inputs.check_size(paper, 241, 241)
    message = r"images of (\d+)x(\d+) are too small: a feature map .* into 16x16 bins; use"
    with pytest.raises(UserError, match=message) as caught:
        inputs.check_size(paper, *size)
    assert str(caught.value).endswith("; those from 241x241 on are large enough")
    with pytest.raises(UserError):
        inputs.check_size(paper, 240, 240)


def test_an_unknown_normalization_is_named():
    with pytest.raises(ValueError, match="'imagnet' is not one of imagenet, symmetric"):
        inputs.image_input("imagnet")


def test_a_network_without_bins_takes_every_size():
    images, x = inputs.image_input("symmetric")
    inputs.check_size(tf_keras.Model(images, x), 1, 1)


def test_the_image_that_is_too_small_is_named(paper):
    names = {(241, 241): "good.png", (500, 240): "narrow.png", (900, 900): "large.png"}
    with pytest.raises(UserError, match=r"^narrow\.png: images of 500x240 .*\(mosaic\.bins\)"):
        inputs.check_sizes(paper, names)
    del names[500, 240]
    inputs.check_sizes(paper, names)
