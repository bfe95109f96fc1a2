"""Cityscapes from zips in exactly the layout that its site offers, made on the spot."""

import zipfile

import cv2
import numpy as np
import pytest

from data.cityscapes import cityscapes
from data.errors import DataError
from data.label_map import LabelMap
from data.pipeline import Augment

CITIES = {"train": "aachen", "val": "frankfurt", "test": "berlin"}
SIZE = (1024, 2048)


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def frame(split, index):
    """RGB image and label ids of a frame, in blocks of 128 pixels."""
    rng = np.random.default_rng([len(split), index])
    blocks = np.ones((128, 128), np.uint8)
    image = np.stack([np.kron(rng.integers(0, 256, (8, 16)), blocks) for _ in range(3)], -1)
    label = np.kron(rng.integers(0, 34, (8, 16)), blocks)
    return image.astype(np.uint8), label.astype(np.uint8)


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zips")
    images = zipfile.ZipFile(folder / "leftImg8bit_trainvaltest.zip", "w")
    labels = zipfile.ZipFile(folder / "gtFine_trainvaltest.zip", "w")
    with images, labels:
        for split, city in CITIES.items():
            for index in range(2):
                image, label = frame(split, index)
                name = f"{split}/{city}/{city}_{index:06}_000019"
                images.writestr(f"leftImg8bit/{name}_leftImg8bit.png", png(image[..., ::-1]))
                labels.writestr(f"gtFine/{name}_gtFine_labelIds.png", png(label))
                labels.writestr(f"gtFine/{name}_gtFine_instanceIds.png", png(label))
                labels.writestr(f"gtFine/{name}_gtFine_polygons.json", "{}")
    return folder


def test_a_missing_zip_is_named(tmp_path):
    with pytest.raises(DataError, match=r"leftImg8bit_trainvaltest\.zip: missing"):
        cityscapes(str(tmp_path))


def test_images_and_train_ids(zips):
    dataset = cityscapes(str(zips), Augment(SIZE, scale=(1.0, 1.0), flip=False))
    assert dataset.splits == ("train", "val", "test")
    assert dataset.num_classes == 19 and dataset.image_size == SIZE
    lookup = LabelMap.named("cityscapes").lookup()
    for split, city in CITIES.items():
        assert dataset.num_images(split) == 2
        index = {dataset.image_id(split, i): i for i in range(2)}[f"{city}_000001_000019"]
        image, label = dataset.example(split, index)
        want, ids = frame(split, 1)
        np.testing.assert_array_equal(image, want)
        np.testing.assert_array_equal(label, lookup[ids])
    images, labels = next(iter(dataset.train_batches(2, seed=0)))
    assert images.shape == (2, *SIZE, 3) and labels.shape == (2, *SIZE)
