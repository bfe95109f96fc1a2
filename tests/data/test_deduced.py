"""Settings that follow from the data."""

import json
import os

import gin
import numpy as np
import pytest
from PIL import Image

import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from data.deduced import class_count, image_size
from data.errors import DataError
from mosaic import config


@pytest.fixture
def folder(tmp_path):
    """Own images of one size, with a label map of two classes; those of val are larger."""
    classes = [{"name": f"c{x}", "color": [x, x, x], "label": x} for x in (1, 2)]
    (tmp_path / "labels.json").write_text(json.dumps({"classes": classes}))
    for split, size in (("train", (48, 64)), ("val", (96, 64))):
        for kind in (split, f"{split}annot"):
            (tmp_path / kind).mkdir()
            for name in "ab":
                Image.fromarray(np.ones(size, np.uint8)).save(tmp_path / kind / f"{name}.png")
    return tmp_path


def test_the_label_map_tells_the_number_of_classes(folder):
    assert class_count(str(folder / "labels.json")) == 2
    assert class_count("camvid") == 11
    with pytest.raises(DataError, match=r"give --gin\.LABEL_MAP=FILE, or --gin\.NUM_CLASSES"):
        class_count(None)


def test_a_pipe_tells_no_size(folder):
    (folder / "train" / "b.png").unlink()
    os.mkfifo(folder / "train" / "b.png")
    assert image_size(str(folder), str(folder / "labels.json")) == (48, 64)


def test_training_images_tell_the_size(folder):
    assert image_size(str(folder), str(folder / "labels.json")) == (48, 64)
    (folder / "train" / "b.png").write_bytes(b"not an image")
    assert image_size(str(folder), str(folder / "labels.json")) == (48, 64)


def test_images_that_differ_in_size_are_named(folder):
    Image.fromarray(np.ones((30, 40), np.uint8)).save(folder / "train" / "c.png")
    Image.fromarray(np.ones((30, 40), np.uint8)).save(folder / "trainannot" / "c.png")
    with pytest.raises(DataError) as caught:
        image_size(str(folder), str(folder / "labels.json"))
    sizes = f"48x64 ({folder}/train/a.png) and 30x40 ({folder}/train/c.png)"
    assert sizes in str(caught.value)
    assert 'give --gin.CROP_SIZE="(HEIGHT, WIDTH)"' in str(caught.value)


def test_without_images_the_size_is_asked_for(tmp_path):
    with pytest.raises(DataError, match=r"there are none; give --gin\.CROP_SIZE"):
        image_size(None, "camvid")
    with pytest.raises(DataError, match="neither train/, val/ or test/ in it"):
        image_size(str(tmp_path), "camvid")


def test_macros_get_the_values(folder, capsys):
    gin.clear_config()
    bindings = [f"DATA_DIR = {str(folder)!r}", f"LABEL_MAP = {str(folder / 'labels.json')!r}"]
    config.parse([config.find("mosaic_folders")], bindings)
    assert gin.query_parameter("%NUM_CLASSES") == 2
    assert gin.query_parameter("%CROP_SIZE") == (48, 64)
    assert capsys.readouterr().err == "from the data: NUM_CLASSES = 2, CROP_SIZE = (48, 64)\n"
    gin.clear_config()
    config.parse([config.find("mosaic_folders")], [*bindings, "CROP_SIZE = (32, 32)"])
    assert gin.query_parameter("%CROP_SIZE") == (32, 32)
    gin.clear_config()
