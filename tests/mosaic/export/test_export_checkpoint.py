"""The export of a checkpoint: every format, its score, and calls that leave nothing behind."""

import copy
import re

import numpy as np
import pytest
import tf_keras

from mosaic import experiment
from mosaic.evaluation.protocols import Evaluation
from mosaic.export import export_checkpoint, tolerances
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.models.mosaic import mosaic
from mosaic.models.variables import Variables
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import RunError, UserError
from mosaic.utils.visualize import write_png

SIZE = (64, 96)


def configure(monkeypatch, network, dataset, loaded=None):
    """Has `export_checkpoint` find a network and a data set."""
    loaded = loaded or Variables("x", "mosaic", None, {})
    found = (network, dataset, Evaluation(batch_size=2), loaded)
    monkeypatch.setattr(experiment, "load_experiment", lambda checkpoint: found)


def test_scores_before_and_after(tiny_network, drawn, tmp_path, monkeypatch, capsys):
    configure(monkeypatch, tiny_network, drawn)
    found = export_checkpoint.export_checkpoint(
        "x", str(tmp_path / "out"), ("saved_model",), evaluate=True
    )
    ((path, result),) = found.items()
    assert path == str(tmp_path / "out" / "saved_model")
    assert result.kept == 1.0
    line = capsys.readouterr().out
    assert re.search(r"mIoU (\S+) before and \1 after on 5 images \(100.00 % kept\)", line)


def test_nothing_is_written_where_the_garden_has_no_such_network(drawn, tmp_path, monkeypatch):
    configure(monkeypatch, mosaic(3, bins=(1, 4), half_pixel_centers=False), drawn)
    formats = ("checkpoint", "saved_model", "garden_checkpoint")
    with pytest.raises(UserError, match="has no network like this one"):
        export_checkpoint.export_checkpoint("x", str(tmp_path / "out"), formats)
    assert not list(tmp_path.rglob("*ckpt*")) and not list(tmp_path.rglob("*.pb"))


@pytest.mark.parametrize(("form", "steps"), [("mosaic", 7), ("garden", None)])
def test_files_tell_how_long_training_took(tiny_network, drawn, tmp_path, monkeypatch, form, steps):
    configure(monkeypatch, tiny_network, drawn, Variables("x", form, 7, {}))
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0))
    export_checkpoint.export_checkpoint("x", str(tmp_path), ("tflite",), output="labels")
    (path,) = tmp_path.iterdir()
    said = tflite_metadata.read(TFLiteModel.open(path))
    assert said.is_own
    assert said.steps == steps


@pytest.mark.parametrize("splits", [("train", "val"), ("val",)])
def test_a_garden_checkpoint_of_a_tflite_file_can_be_trained(drawn, tmp_path, capsys, splits):
    """With batch norm's statistics, which the file has not, where there are images for them."""
    dataset, network = type(drawn)(), mosaic(3, bins=(1, 4))
    dataset.splits = splits
    image = drawn.images[:1].astype(np.float32)
    before = network(image).numpy()
    with pytest.MonkeyPatch.context() as patch:
        configure(patch, network, dataset, Variables("x.tflite", "tflite", None, {}))
        patch.setattr(export_checkpoint, "opened", lambda path: path)
        export_checkpoint.export_checkpoint("x.tflite", str(tmp_path), ("garden_checkpoint",))
    np.testing.assert_allclose(network(image), before, atol=1e-4)
    norm = next(x for x in network.layers if isinstance(x, tf_keras.layers.BatchNormalization))
    assert np.any(norm.moving_mean) == ("train" in splits)
    assert ("no training images here" in capsys.readouterr().err) == ("train" not in splits)
    assert (tmp_path / "garden_checkpoint" / "classes.json").is_file()


@pytest.mark.parametrize("image_size", [None, (64, 96)])
def test_the_size_of_a_file_is_that_of_the_evaluation(
    tiny_network, drawn, tmp_path, monkeypatch, image_size
):
    """Where images are padded to one, be they of several sizes or of one."""
    dataset = type(drawn)()
    dataset.image_size = image_size
    evaluation = Evaluation(padded_size=(32, 48))
    found = (tiny_network, dataset, evaluation, Variables("x", "mosaic", None, {}))
    monkeypatch.setattr(experiment, "load_experiment", lambda checkpoint: found)
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0))
    export_checkpoint.export_checkpoint("x", str(tmp_path), ("tflite",))
    (path,) = tmp_path.iterdir()
    assert TFLitePredictor(TFLiteModel.open(path)).input_size == (32, 48)


def test_a_size_of_the_evaluation_that_cannot_fit_is_told(
    tiny_network, drawn, tmp_path, monkeypatch
):
    evaluation = Evaluation(padded_size=(99999, 99999))
    found = (tiny_network, drawn, evaluation, Variables("x", "mosaic", None, {}))
    monkeypatch.setattr(experiment, "load_experiment", lambda checkpoint: found)
    with pytest.raises(UserError, match=r"^Evaluation.padded_size = \(99999, 99999\): it would"):
        export_checkpoint.export_checkpoint("x", str(tmp_path), ("tflite",))


def test_too_small_a_score_leaves_nothing(tiny_network, drawn, tmp_path, monkeypatch):
    configure(monkeypatch, tiny_network, drawn)
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0, 1.1))
    out = tmp_path / "out"
    with pytest.raises(RunError, match="110 % of the mIoU"):
        export_checkpoint.export_checkpoint("x", str(out), ("saved_model",), evaluate=True)
    assert not out.exists()


def test_a_miss_of_the_usual_is_told(tiny_network, drawn, tmp_path, monkeypatch, capsys):
    configure(monkeypatch, tiny_network, drawn)
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0, 0.0, 1.1))
    export_checkpoint.export_checkpoint("x", str(tmp_path), ("saved_model",))
    captured = capsys.readouterr()
    assert "saved_model: logit difference at most" in captured.out
    assert re.search("warning: .*saved_model: .* usually have 110 % equal pixels", captured.err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (32, 96)}, "cannot be pooled into 4x4 bins"),
        ({"quantize": ("none", "int9")}, "--quantize=int9: not one of none, float16"),
        ({"formats": ("saved_model", "onnx")}, "--format=onnx: not one of saved_model"),
        ({"output": "probabilities"}, "--output=probabilities: not one of logits"),
        ({"input_type": "int16"}, "--input_type=int16: not one of uint8, int8"),
        ({"input_type": "int8"}, "--input_type=int8 is for int8 files"),
        ({"quantize": ("int8",)}, "training images, and drawn has none here \\(only val\\)"),
        ({"export_dir": "/proc/out"}, "/proc/out: /proc cannot be written to"),
    ],
)
def test_bad_calls_leave_nothing(small_network, drawn, tmp_path, monkeypatch, arguments, message):
    dataset = copy.copy(drawn)
    dataset.splits = ("val",)
    configure(monkeypatch, small_network, dataset)
    settings = {"export_dir": str(tmp_path / "out"), **arguments}
    with pytest.raises(UserError, match=message):
        export_checkpoint.export_checkpoint("x", **settings)
    assert list(tmp_path.iterdir()) == []


def test_unknown_format(tmp_path):
    with pytest.raises(UserError, match="onnx: not one of saved_model, tflite, checkpoint, garden"):
        export_checkpoint.export_checkpoint("x", str(tmp_path), ("onnx",))


def test_images_of_several_sizes_give_files_of_the_crop_size(
    tiny_network, drawn, tmp_path, monkeypatch, capsys
):
    dataset = copy.copy(drawn)
    dataset.image_size, dataset.crop_size, dataset.augment = None, (40, 56), object()
    configure(monkeypatch, tiny_network, dataset)
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0))
    export_checkpoint.export_checkpoint("x", str(tmp_path), ("tflite",))
    (path,) = tmp_path.iterdir()
    assert TFLitePredictor(TFLiteModel.open(path)).input_size == (40, 56)
    assert "differ in size: TFLite files take that of training's crops, 40x56" in (
        capsys.readouterr().out
    )


def test_images_of_several_sizes_without_training_need_a_size(
    tiny_network, drawn, tmp_path, monkeypatch
):
    dataset = copy.copy(drawn)
    dataset.image_size, dataset.augment = None, None
    configure(monkeypatch, tiny_network, dataset)
    with pytest.raises(UserError, match="differ in size; give --size=HEIGHTxWIDTH"):
        export_checkpoint.export_checkpoint("x", str(tmp_path), ("tflite",))


@pytest.fixture
def photographs(tmp_path, drawn):
    folder = tmp_path / "photographs"
    for index, image in enumerate(drawn.images[:2]):
        write_png(folder / f"{index}.png", image)
    return [str(folder)]


def test_photographs_take_the_place_of_a_data_set(
    tiny_network, photographs, tmp_path, monkeypatch, capsys
):
    built = {"train.model": tiny_network, "train.evaluation": Evaluation(input_size=(32, 48))}
    monkeypatch.setattr(experiment.config, "build", built.get)
    loaded = Variables("x", "tflite", None, {})
    monkeypatch.setattr(experiment, "_load", lambda model, checkpoint: loaded)
    monkeypatch.setattr(export_checkpoint, "_calibrate", lambda model, dataset: None)
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 0.0))
    monkeypatch.setitem(tolerances.LIMITS, "int8", tolerances.Limit(None, 0.0))
    out = tmp_path / "out"
    export_checkpoint.export_checkpoint(
        "x", str(out), ("tflite", "checkpoint"), ("int8",), photographs=photographs
    )
    assert (out / "checkpoint" / "ckpt-0.index").is_file()
    file = TFLiteModel.open(out / "tiny_int8_logits.tflite")
    assert TFLitePredictor(file).input_size == (32, 48)
    assert tflite_metadata.read(file).classes.class_names == ("class 0", "class 1", "class 2")
    assert "equal pixels on 2 images" in capsys.readouterr().out


def test_names_of_another_network_are_refused(tiny_network, photographs, monkeypatch):
    built = {"train.model": tiny_network, "train.evaluation": Evaluation(input_size=(32, 48))}
    monkeypatch.setattr(experiment.config, "build", built.get)
    with pytest.raises(UserError, match=r"has 3 classes, and the label map 2; .*--label_map"):
        experiment.load_with_photographs("x", photographs, Classes.numbered(2))
