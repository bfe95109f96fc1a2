"""Images of any size: tiles, and logits enlarged in strips, give what whole images give."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.inference import any_size
from mosaic.inference.any_size import segment
from mosaic.inference.letterbox import letterbox
from mosaic.inference.predictors import Predictor, of_network
from mosaic.utils.errors import UserError


@pytest.fixture
def image():
    return (
        np.random.default_rng(0).integers(0, 256, (3, 3, 3), np.uint8).repeat(40, 0).repeat(60, 1)
    )


@pytest.fixture
def in_strips(monkeypatch):
    """As for images that are too large for all of their logits at once."""
    monkeypatch.setattr(any_size, "_WHOLE", 0)
    monkeypatch.setattr(any_size, "_STRIP", 2000)


def test_tiles_join_to_the_whole():
    """Of a model that looks at a pixel alone; the last tiles overlap more than the others."""
    seen = []

    def run(images):
        seen.append(tuple(images.shape[1:3]))
        return tf.cast(images[..., 0], tf.int32)

    image = np.random.default_rng(0).integers(0, 256, (70, 101, 3), np.uint8)
    model = Predictor(run, "tflite", None, traceable=False)
    found = segment(model, image, tile=(32, 48))
    np.testing.assert_array_equal(found.labels, image[..., 0])
    assert set(seen) == {(32, 48)} and len(seen) == 9


def test_no_pixel_is_taken_from_a_tiles_edge():
    """Each is at least an eighth of a tile away from it, but for the image's own edge."""

    def run(images):
        inside = tf.pad(
            tf.zeros([1, 24, 36], tf.int32), [[0, 0], [4, 4], [6, 6]], constant_values=1
        )
        return inside

    found = segment(
        Predictor(run, "tflite", None, traceable=False),
        np.zeros((80, 96, 3), np.uint8),
        tile=(32, 48),
    )
    assert not found.labels[4:-4, 6:-6].any() and found.labels[0].all()


def test_a_large_image_is_cut_by_itself(monkeypatch):
    monkeypatch.setattr(any_size, "LARGE", 60 * 60)
    monkeypatch.setattr(any_size, "TILE", (32, 32))
    told = []

    def over(tiles):
        told.append(len(tiles))
        return tiles

    model = Predictor(lambda images: tf.cast(images[..., 0], tf.int32), "network", None)
    image = np.random.default_rng(0).integers(0, 256, (60, 61, 3), np.uint8)
    np.testing.assert_array_equal(segment(model, image, over=over).labels, image[..., 0])
    segment(model, image[:, :60], over=over)
    segment(model, image, input_size=(16, 16), over=over)
    segment(letterbox(model, (16, 16), (0, 0, 0)), image, over=over)
    assert told == [9]


@pytest.mark.parametrize("input_size", [None, (64, 80)])
def test_strips_are_the_whole(small_network, image, input_size, request):
    model = of_network(small_network)
    whole = segment(model, image, input_size).labels
    request.getfixturevalue("in_strips")
    found = segment(model, image, input_size).labels
    assert len(np.unique(found)) > 1 and np.mean(found != whole) < 1e-3


@pytest.mark.parametrize("enlarged", [True, False])
def test_strips_of_a_padded_image(small_network, image, enlarged, request):
    model = letterbox(of_network(small_network), (96, 96), (124.0, 116.0, 104.0), enlarged)
    whole = segment(model, image).labels
    request.getfixturevalue("in_strips")
    found = segment(model, image).labels
    assert len(np.unique(found)) > 1 and np.mean(found != whole) < 1e-3


def test_labels_are_enlarged_as_before(in_strips, image, monkeypatch):
    """By nearest neighbour, padded or not."""
    model = Predictor(lambda images: tf.cast(images[..., 0], tf.int32), "tflite", None, (33, 47))
    for predictor in (model, letterbox(model, (33, 47), (0, 0, 0))):
        expected = predictor(image[np.newaxis], image.shape[:2])[0]
        np.testing.assert_array_equal(segment(predictor, image).labels, expected)


def test_probabilities_are_no_logits(image):
    """A model that ends in softmax: its largest output is the confidence."""

    def run(images):
        share = tf.cast(images[..., 0], tf.float32) / 255
        return tf.stack([share, 1 - share], -1)

    found = segment(Predictor(run, "network", 2), image, with_confidence=True)
    share = image[..., 0] / 255
    expected = np.round(255 * np.maximum(share, 1 - share))
    assert np.abs(found.confidence - expected).max() <= 1


def test_a_tile_that_is_too_small_is_told():
    def check(height, width):
        if min(height, width) < 64:
            raise UserError(f"images of {height}x{width} are too small")

    model = Predictor(lambda images: tf.cast(images[..., 0], tf.int32), "network", 2, check=check)
    with pytest.raises(UserError, match="images of 32x64 are too small"):
        segment(model, np.zeros((80, 80, 3), np.uint8), tile=(32, 64))
