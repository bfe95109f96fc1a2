"""The functions for use from Python; tests/test_tutorial.py trains, scores and exports by them."""

import pathlib
import re
import subprocess
import sys
import types

import cv2
import gin
import matplotlib
import numpy as np
import pytest
import tf_keras

import mosaic
from mosaic.api import Segmenter
from mosaic.export import checkpoint
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import UserError

ROOT = pathlib.Path(mosaic.__file__).resolve().parent.parent
TINY = {
    "mosaic.bins": (1, 4),
    "IMAGE_SIZE": (64, 128),
    "CROP_SIZE": (64, 128),
    "NUM_TRAIN": 2,
    "NUM_VAL": 2,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, as far as others read it."""
    folder = tmp_path_factory.mktemp("run")
    text = [f"{name} = {value}" for name, value in TINY.items()]
    (folder / "config.gin").write_text("\n".join(["include 'quickstart.gin'", *text, ""]))
    tf_keras.utils.set_random_seed(0)
    model = mosaic.build("quickstart", TINY)
    classes = Classes.numbered(19)
    checkpoint.save(model, str(folder / "best_ckpt"), None, classes, str(folder / "config.gin"))
    return folder


@pytest.fixture(scope="module")
def segmenter(run):
    return mosaic.load(run)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)


def test_import_is_quiet_and_light():
    code = "import sys, mosaic; print(*sys.modules, *dir(mosaic))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"tensorflow", "numpy", "gin"} & set(done.stdout.split())
    assert {"load", "build", "score"} <= set(done.stdout.split())
    assert done.stderr == ""


def test_an_array_is_segmented(segmenter, image):
    labels = segmenter(image)
    assert labels.shape == (64, 128) and labels.dtype == np.uint8
    assert not gin.config._CONFIG


def test_confidence_and_files_of_predictions(segmenter, image, tmp_path):
    """The files hold what the functions return."""
    found = segmenter.confidence(image)
    assert found.shape == (64, 128) and 255 // 19 <= found.min() < found.max()
    cv2.imwrite(str(tmp_path / "in.png"), image[..., ::-1])
    assert segmenter.predict([tmp_path / "in.png"], tmp_path / "out", confidence=True) == 1
    written = cv2.imread(str(tmp_path / "out" / "confidence" / "in.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, found)


def test_tiles_of_a_larger_image(segmenter, image):
    tiled = Segmenter(segmenter._predictor, None, None, (32, 32), "a run")
    with pytest.raises(UserError, match="images of 32x32 are too small"):
        tiled(image)


def test_a_segmenter_takes_files_and_draws(segmenter, image, tmp_path):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), image[..., ::-1])
    assert len(segmenter.classes.class_names) == 19 and "19 classes" in repr(segmenter)
    np.testing.assert_array_equal(segmenter(path), segmenter(image))
    picture = segmenter.overlay(path)
    assert picture.shape[0] > 64 and picture.shape[1:] == (256, 3)
    np.testing.assert_array_equal(picture[:64, :128], image)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda load, image: mosaic.load("/nowhere"), "^/nowhere: no such file or folder$"),
        (lambda load, image: load(image[..., 0]), "give uint8 .height, width, 3."),
        (lambda load, image: load("/nowhere.png"), "^/nowhere.png: No such file"),
        (lambda load, image: load(image[:20]), "too small|cannot be pooled"),
        (lambda load, image: mosaic.build("quikstart"), "did you mean 'quickstart'"),
        (lambda load, image: mosaic.build("quickstart", {"X": 1}), "^--gin.X: no such macro"),
        (
            lambda load, image: mosaic.build("quickstart", {"mosaic.bins": (0,)}),
            r"^(?!.*In call to configurable).*mosaic\.bins",
        ),
        (
            lambda load, image: load.overlay(image, np.zeros((3, 3), np.uint8)),
            r"^labels of uint8 \[3, 3\]: give whole numbers \[64, 128\]",
        ),
        (
            lambda load, image: load.overlay(image, np.zeros((64, 128), np.float32)),
            r"^labels of float32 \[64, 128\]: give whole numbers",
        ),
        (lambda load, image: load.predict("/nowhere.png", "out"), "^--images=/nowhere.png: no"),
        (lambda load, image: mosaic.load("/x", size="512x512"), r"^size='512x512': give \(height"),
        (lambda load, image: mosaic.load("/x", size=512), r"^size=512: give \(height, width\)"),
        (lambda load, image: mosaic.load("/x", tile=(0, 64)), r"^tile=\(0, 64\): give \(height"),
        (lambda load, image: mosaic.load("/x", tile=(64, 1.5)), r"^tile=\(64, 1.5\): give \(h"),
        (lambda load, image: mosaic.load("/x", size=(10**6, 10**6)), "^size=.*: it would"),
        (lambda load, image: mosaic.export_model("/x", "y", size=(1,)), r"^size=\(1,\): give \("),
        (lambda load, image: mosaic.nothing, "has no attribute 'nothing'"),
    ],
)
def test_mistakes_are_one_line(segmenter, image, call, message):
    with pytest.raises((UserError, AttributeError), match=message) as caught:
        call(segmenter, image)
    assert "\n" not in str(caught.value)
    assert not gin.config._CONFIG


def test_one_of_something_needs_no_list(segmenter, run, image, tmp_path):
    path = tmp_path / "in.png"
    cv2.imwrite(str(path), image[..., ::-1])
    assert segmenter.predict(str(path), tmp_path / "out") == 1
    mosaic.export_model(run, tmp_path / "exports", images=path, formats="checkpoint")
    assert [found.name for found in (tmp_path / "exports").iterdir()] == ["checkpoint"]


def test_a_network_is_built_with_settings():
    model = mosaic.build("mosaic_camvid", {"mosaic.bins": (1, 4), "NUM_CLASSES": 3})
    assert model.output_shape[-1] == 3


def test_the_page_tells_what_there_is():
    """Each function of the page exists, with the arguments that it names."""
    text = (ROOT / "docs" / "python_api.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for block in blocks:
        compile(block, "python_api.md", "exec")
    told = set(re.findall(r"\bmosaic\.(\w+)\(", " ".join(blocks)))
    assert told == {"load", "build", "train", "score", "export_model"}


def test_pictures_are_still_shown(monkeypatch):
    """A module of the Model Garden switches matplotlib to files only."""
    before = dict.__getitem__(matplotlib.rcParams, "backend")

    def garden(name):
        matplotlib.use("agg")
        return name

    monkeypatch.setattr(mosaic, "importlib", types.SimpleNamespace(import_module=garden))
    matplotlib.use("template")
    assert mosaic._api.__wrapped__() == "mosaic.api"
    assert matplotlib.get_backend() == "template"
    dict.__setitem__(matplotlib.rcParams, "backend", before)
