"""Where a network comes from: the record that lies with it, and what a run starts from."""

import json
import shutil
import tarfile

import numpy as np
import pytest

import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from mosaic.checkpoints import origin, run_record
from mosaic.checkpoints.run_record import Entry
from mosaic.export import model_garden, tflite
from mosaic.models.variables import Variables
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.run_layout import BEST_FOLDER, CONFIG, METRIC, RECORD


@pytest.fixture
def run(tmp_path):
    """A run with a best checkpoint of step 40 and a last of step 50, as files of no bytes."""
    folder, best = tmp_path / "run", tmp_path / "run" / BEST_FOLDER
    best.mkdir(parents=True)
    run_record.append(str(folder), Entry({"sgd.momentum": 0.5}, 0))
    run_record.end(str(folder), 50)
    (folder / CONFIG).write_text("sgd.momentum = 0.1\n")
    (best / f"{METRIC}-40.json").touch()
    for place, step in ((folder, 50), (best, 40)):
        (place / f"ckpt-{step}.index").touch()
        (place / "checkpoint").write_text(f'model_checkpoint_path: "ckpt-{step}"\n')
    shutil.copy(folder / RECORD, best / RECORD)
    return folder


@pytest.mark.parametrize(
    ("place", "is_best"),
    [("", False), ("ckpt-50", False), (BEST_FOLDER, True), (f"{BEST_FOLDER}/ckpt-40", True)],
)
def test_the_runs_record_is_found(run, place, is_best):
    record = origin.read(str(run / place))
    assert record.entries[0].configuration == {"sgd.momentum": 0.5}
    assert record.is_best == is_best
    assert record.steps == (50 if is_best else None)


def test_a_copied_best_checkpoint_keeps_the_record(run, tmp_path):
    shutil.copytree(run / BEST_FOLDER, tmp_path / "elsewhere")
    record = origin.read(str(tmp_path / "elsewhere"))
    assert (record.is_best, record.steps) == (True, 50)


def test_a_best_checkpoint_that_was_packed_away_keeps_the_record(run, tmp_path):
    path = tmp_path / "best.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(run / BEST_FOLDER, "mine")
    record = origin.read(str(path))
    assert (record.is_best, record.steps) == (True, 50)


def test_what_happened_after_the_best_step_is_in_the_record(run):
    run_record.append(str(run), Entry({"sgd.momentum": 0.7}, 50))
    assert len(origin.read(str(run / BEST_FOLDER)).entries) == 2


def test_another_runs_record_beside_the_folder_is_not_taken(run):
    (run / RECORD).write_text(json.dumps({"configuration": {"other.run": 1}}) + "\n")
    record = origin.read(str(run / BEST_FOLDER))
    assert record.entries[0].configuration == {"sgd.momentum": 0.5}


def test_a_run_without_a_record_has_its_configuration(run):
    for place in (run, run / BEST_FOLDER):
        (place / RECORD).unlink()
    record = origin.read(str(run / BEST_FOLDER))
    assert [(entry.configuration, entry.step) for entry in record.entries] == [
        ({"sgd.momentum": 0.1}, None)
    ]


def test_a_run_of_older_modules_is_read(shared):
    (entry,) = origin.read(str(shared("runs/quickstart_2026_11/best_ckpt"))).entries
    assert entry.configuration["mosaic.norm_momentum"] == 0.97
    assert entry.configuration["polynomial_decay.steps"] == 1000


def test_weights_that_others_published_have_no_record(tmp_path):
    (tmp_path / "x.h5").touch()
    for path in (tmp_path, tmp_path / "ckpt-1", tmp_path / "x.h5"):
        assert origin.read(str(path)).entries == ()
        assert origin.for_export(str(path), 3) is None


def test_exports_say_which_step_of_the_run_they_are(run, tmp_path):
    text = origin.for_export(str(run / BEST_FOLDER), 40)
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / RECORD).write_text(text)
    record = origin.read(str(tmp_path))
    assert (record.is_best, record.step, record.steps) == (True, 40, 50)
    assert origin.for_export(str(tmp_path), None) == text
    text = origin.for_export(str(run), 50)
    (tmp_path / "assets.extra" / RECORD).write_text(text)
    record = origin.read(str(tmp_path))
    assert (record.is_best, record.step, record.steps) == (False, 50, 50)


def test_an_export_in_the_gardens_format_says_it_too(run, small_network, tmp_path):
    garden = tmp_path / "garden"
    model_garden.save(small_network, str(garden), record=origin.for_export(run / BEST_FOLDER, 40))
    record = origin.read(str(garden))
    assert (record.is_best, record.step, record.steps) == (True, 40, 50)
    assert origin.for_export(str(garden), 40) == (garden / RECORD).read_text()


def test_a_tflite_file_keeps_the_record(run, small_network, drawn, tmp_path):
    path = str(tmp_path / "x.tflite")
    options = tflite.TFLiteOptions((64, 96), output="labels")
    record = origin.for_export(str(run), 50)
    tflite.write(small_network, [drawn.images[0]], path, options, record=record)
    assert origin.read(TFLiteModel.open(path)).entries[0].configuration == {"sgd.momentum": 0.5}


ARRAYS = {"backbone_1/kernel": np.ones((2, 3), np.float32)}


def test_a_backbone_alone_is_told_from_a_network():
    whole = {**ARRAYS, "logits/bias": np.zeros(19, np.float32)}
    found = [
        origin.start_of(Variables("x", "garden", None, arrays), ("backbone_",))
        for arrays in (ARRAYS, whole)
    ]
    assert [(start["holds"], start["classes"]) for start in found] == [
        ("a backbone", None),
        ("a network", 19),
    ]
    assert found[0]["prefixes"] == ["backbone_"]
    assert found[0]["run"] is None


def test_the_digest_is_that_of_names_and_values():
    def digest(arrays):
        return origin.start_of(Variables("x", "garden", None, arrays), ("",))["digest"]

    (name, array), other = *ARRAYS.items(), {"b": np.zeros(3)}
    assert digest({**ARRAYS, **other}) == digest({**other, **ARRAYS})
    assert len({digest(a) for a in (ARRAYS, {"b": array}, {name: 2 * array}, {name: array.T})}) == 4


def test_an_own_run_is_known(run):
    run_record.append(str(run), Entry({}, 50, {"dataset": "city", "splits": {}}))
    start = origin.start_of(Variables(str(run), "mosaic", 50, ARRAYS), ("",))
    assert start["run"] == {"dataset": "city", "step": 50}
