"""Images without truth in the place of a data set."""

import numpy as np
import pytest
from PIL import Image

from mosaic.inference.photographs import Photographs
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import UserError
from mosaic.utils.segmentation_dataset import SegmentationDataset

CLASSES = Classes.named(["dark", "bright"])


@pytest.fixture
def photographs(tmp_path):
    for name, size in (("a", (40, 60)), ("b", (90, 30))):
        Image.fromarray(np.full((*size, 3), 100, np.uint8)).save(tmp_path / f"{name}.jpg")
    return Photographs([str(tmp_path)], CLASSES, (32, 48))


def test_it_is_a_data_set(photographs):
    assert isinstance(photographs, SegmentationDataset)
    assert photographs.num_classes == 2 and photographs.class_names == ("dark", "bright")
    assert [photographs.image_id("val", index) for index in range(2)] == ["a", "b"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_images_have_one_size_and_no_truth(photographs, split):
    assert photographs.num_images(split) == 2
    for index in range(2):
        image, labels = photographs.example(split, index)
        assert image.shape == (32, 48, 3) and image.dtype == np.uint8
        assert labels.shape == (32, 48) and (labels == photographs.ignore_label).all()


def test_nothing_is_learnt_from_them(photographs):
    with pytest.raises(UserError, match="no truth"):
        photographs.train_batches(1, 0)
    with pytest.raises(UserError, match="no such file"):
        Photographs(["/nowhere"], CLASSES, (32, 48))
