"""The score of a checkpoint: what it is of, how it was trained, and what it is compared with."""

import json
import subprocess
import sys
import types

import pytest

from answers import threshold
from mosaic.checkpoints import run_folder
from mosaic.evaluation import score_checkpoint
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference.predictors import Predictor
from mosaic.models.variables import Variables
from mosaic.tflite.metadata import Metadata
from mosaic.tflite.model_file import TFLiteModel
from mosaic.training.train_loop import train  # noqa: F401 - which configurations bind
from mosaic.utils import class_names
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import UserError

# A file of which nothing is read.
FILE = TFLiteModel("x.tflite", b"", None)
# IoU of MLPerf's R4 file on CamVid's val set without training, as published with the file's facts.
ZERO_SHOT = {
    "Sky": 0.812,
    "Building": 0.672,
    "Road": 0.900,
    "Pavement": 0.697,
    "Tree": 0.521,
    "Car": 0.794,
    "Pedestrian": 0.148,
}


def _eval(*arguments):
    return subprocess.run(
        [sys.executable, "eval.py", *arguments], capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_zero_shot(shared, tmp_path):
    result = _eval(
        "--gin_file=ade20k_on_camvid",
        f"--data_dir={shared('data/camvid')}",
        f"--checkpoint={shared('models/mosaic_r4_ade20k_uint8.tflite')}",
        f"--output_dir={tmp_path}",
        f"--submission_dir={tmp_path / 'submission'}",
    )
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "submission").glob("*.png"))) == 101
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["num_images"] == 101
    assert report["settings"]["form"] == "tflite"
    assert report["command"].startswith("python eval.py --gin_file")
    assert report["date"]
    for name, value in report["per_class_iou"].items():
        assert value == pytest.approx(ZERO_SHOT.get(name, 0.0), abs=0.01), name


def test_other_classes_need_a_map(shared, tmp_path):
    result = _eval(
        "--gin_file=ade20k_on_camvid",
        "--gin.Evaluation.class_map=None",
        f"--data_dir={shared('data/camvid')}",
        f"--checkpoint={shared('models/mosaic_r4_ade20k_uint8.tflite')}",
        "--as_network",
        f"--output_dir={tmp_path}",
    )
    assert result.returncode == 2
    assert "has 32 classes, but 11 are expected by camvid" in result.stderr
    assert not any(tmp_path.iterdir())


def _answers(monkeypatch, drawn, names, num_classes=None, class_map=None):
    said = Metadata(Classes.named(names) if names else None, None)
    monkeypatch.setattr(score_checkpoint.tflite_metadata, "read", lambda path: said)
    predictor = types.SimpleNamespace(format="tflite", num_classes=num_classes)
    score_checkpoint._check_answers(FILE, predictor, drawn, Evaluation(class_map=class_map))


def test_files_of_labels_tell_their_classes(monkeypatch, drawn, capsys):
    _answers(monkeypatch, drawn, drawn.class_names)
    _answers(monkeypatch, drawn, None)
    _answers(monkeypatch, drawn, ("a", "b"), class_map=(0, 1))
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match=r"x\.tflite has 2 classes, but 3 are expected by drawn"):
        _answers(monkeypatch, drawn, ("dark", "bright"))


def test_classes_in_a_map_that_the_data_lacks_are_told(monkeypatch, drawn):
    with pytest.raises(UserError, match=r"class_map has 9, and drawn has the classes 0 to 2; -1"):
        _answers(monkeypatch, drawn, ("a", "b"), class_map=(0, 9))


def test_names_of_a_run_are_compared_too(drawn, tmp_path, capsys):
    names = types.SimpleNamespace(**{**vars(type(drawn)), "class_names": ("dark", "absent", "x")})
    class_names.save(str(tmp_path), names)
    (tmp_path / "down.tar.gz").touch()
    predictor = types.SimpleNamespace(format="network", num_classes=3)
    score_checkpoint._check_answers(str(tmp_path / "down.tar.gz"), predictor, drawn, Evaluation())
    assert capsys.readouterr().err == ""
    score_checkpoint._check_answers(str(tmp_path / "ckpt-7"), predictor, drawn, Evaluation())
    assert "ckpt-7 calls 'absent' what is 'bright' in drawn" in capsys.readouterr().err


def test_other_names_are_told(monkeypatch, drawn, capsys):
    _answers(monkeypatch, drawn, ("dark", "light", "absent"), 3)
    assert capsys.readouterr().err == "warning: x.tflite calls 'light' what is 'bright' in drawn\n"


@pytest.mark.parametrize(("step", "steps"), [(80, 80), (0, None), (None, None)])
def test_a_garden_checkpoint_is_ours_if_classes_lie_with_it(tmp_path, step, steps):
    loaded = Variables("x", "garden", step, {})
    paths = [str(tmp_path), str(tmp_path / "ckpt-80")]
    for path in paths:
        assert not score_checkpoint._is_trained_here(path, loaded)
        assert run_folder.steps_of(path, loaded) is None
    (tmp_path / "classes.json").touch()
    for path in paths:
        assert score_checkpoint._is_trained_here(path, loaded)
        assert run_folder.steps_of(path, loaded) == steps
    archive = tmp_path / "downloaded.tar.gz"
    archive.touch()
    assert not score_checkpoint._is_trained_here(str(archive), loaded)


def test_saved_models_of_a_run(run):
    for folder in (run / "saved_model", run / "exports" / "saved_model"):
        (folder / "assets.extra").mkdir(parents=True)
        (folder / "saved_model.pb").touch()
        assert not score_checkpoint._is_trained_here(str(folder), None)
        (folder / "assets.extra" / "classes.json").touch()
        assert score_checkpoint._is_trained_here(str(folder), None)
    assert run_folder.steps_of(str(run / "saved_model")) == 100
    assert run_folder.steps_of(str(folder)) is None


@pytest.mark.parametrize(("is_own", "steps"), [(True, 7), (True, None), (False, None)])
def test_own_files_are_trained_here(monkeypatch, is_own, steps):
    said = Metadata(None, None, is_own, steps)
    monkeypatch.setattr(score_checkpoint.tflite_metadata, "read", lambda path: said)
    for loaded in (None, Variables("x.tflite", "tflite", None, {})):
        assert score_checkpoint._is_trained_here(FILE, loaded) == is_own
        assert run_folder.steps_of(FILE, loaded) == steps


@pytest.mark.parametrize("steps", [20_000, None])
def test_steps_that_were_not_done_are_a_departure(steps):
    published = score_checkpoint.results.result("mosaic_cityscapes")
    run = published["recipe"]
    assert score_checkpoint._recipe("mosaic_cityscapes", run, 100_000) == published["recipe"]
    recipe = score_checkpoint._recipe("mosaic_cityscapes", run, steps)
    settings = published["settings"]
    verdict = score_checkpoint.results.verdict(published, 0.7724, settings, recipe)
    assert verdict["status"] == "not comparable"
    (departure,) = verdict["departures"]
    here = "unknown" if steps is None else steps
    assert departure == {"setting": "train.steps", "here": here, "published": 100_000}


@pytest.mark.parametrize("normalization", [None, "symmetric"])
def test_settings_that_a_file_tells(normalization):
    settings = {"traceable": False, "normalization": normalization, "precision": "int8"}
    predictor = Predictor(None, "tflite", None, **settings)
    expected = normalization or score_checkpoint.results.INSIDE
    found = score_checkpoint._network_settings(predictor)
    assert found == {"numbers": "int8", "normalization": expected}


def test_a_split_without_labels_is_told_before_a_network_is_built(monkeypatch, drawn, tmp_path):
    def refuse(split):
        raise UserError(f"{split}: none of its images has a mask")

    built, dataset = [], type(drawn)()
    dataset.check_labels, dataset.fingerprint = refuse, lambda split: "f"
    dataset.first_of_sizes = lambda split: {}
    parts = {"train.evaluation": Evaluation(), "train.dataset": dataset}
    monkeypatch.setattr(score_checkpoint.config, "build", parts.get)
    monkeypatch.setattr(score_checkpoint, "load_predictor", lambda *a: built.append(a) or 1 / 0)
    with pytest.raises(UserError, match=r"^val: none of its images has a mask"):
        score_checkpoint.score(str(tmp_path), str(tmp_path))
    assert not built
    # Predictions for a benchmark server need no labels.
    with pytest.raises(ZeroDivisionError):
        score_checkpoint.score(str(tmp_path), str(tmp_path), submission_dir=str(tmp_path))


@pytest.mark.parametrize("split", ["val", "train"])
def test_images_that_another_split_has_too_are_told_once(
    monkeypatch, drawn, tmp_path, capsys, split
):
    dataset = type(drawn)()
    dataset.check_labels = lambda split: [f"{split}: 2 of 5 images are in another split too"]
    dataset.fingerprint, dataset.first_of_sizes = lambda split: "f", lambda split: {}
    parts = {"train.evaluation": Evaluation(), "train.dataset": dataset}
    monkeypatch.setattr(score_checkpoint.config, "build", parts.get)
    monkeypatch.setattr(score_checkpoint, "load_predictor", lambda *_: 1 / 0)
    score_checkpoint._warn.cache_clear()
    for _ in range(2):  # checkpoints, as with --watch
        with pytest.raises(ZeroDivisionError):
            score_checkpoint.score(str(tmp_path), str(tmp_path), split=split)
    line = "warning: val: 2 of 5 images are in another split too\n"
    assert capsys.readouterr().err == ("" if split == "train" else line)


def test_overlays_of_all_images_on_request(monkeypatch, drawn, tmp_path):
    built = {"train.evaluation": Evaluation(num_pictures=1), "train.dataset": drawn}
    monkeypatch.setattr(score_checkpoint.config, "build", built.get)
    monkeypatch.setattr(score_checkpoint, "opened", lambda path: path)
    monkeypatch.setattr(score_checkpoint, "load_predictor", lambda *_: (threshold, None))
    monkeypatch.setattr(score_checkpoint, "_network_settings", lambda predictor: {})
    monkeypatch.setattr(score_checkpoint, "_is_trained_here", lambda *_: False)
    for all_overlays, count in ((False, 1), (True, 5)):
        out = tmp_path / str(count)
        score_checkpoint.score(str(tmp_path), str(out), all_overlays=all_overlays)
        assert len(list((out / "overlays").iterdir())) == count
