"""Tests of how labels are kept in records."""

import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from data.dataset import encode_label


def pixels(png):
    """The rows of a PNG of one 8-bit channel before its filters are undone, with their numbers."""
    at, content = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            content += png[at + 8 : at + 8 + length]
        at += length + 12
    return np.frombuffer(zlib.decompress(content), np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 128)])
def test_labels_are_what_they_were(size):
    label = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    png = encode_label(label)
    found = tf.io.decode_image(png, channels=1)
    np.testing.assert_array_equal(found[..., 0], label)


def test_rows_of_labels_have_no_filter_to_undo():
    label = np.random.default_rng(0).integers(0, 19, (32, 64), np.uint8)
    rows = pixels(encode_label(label)).reshape(32, 65)
    np.testing.assert_array_equal(rows[:, 0], 0)
    np.testing.assert_array_equal(rows[:, 1:], label)


def test_even_labels_stay_small():
    assert len(encode_label(np.zeros((512, 512), np.uint8))) < 4_000
