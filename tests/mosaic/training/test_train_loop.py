"""Whole runs in processes of their own: resuming, stopping, and what they leave behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import gin
import numpy as np
import pytest
import tensorflow as tf
from tiny_training import tiny

from mosaic import cli, config
from mosaic.checkpoints import loading, origin, run_record
from mosaic.distribution.runtime import runtime
from mosaic.evaluation.protocols import Evaluation
from mosaic.models.mosaic import mosaic
from mosaic.training import train_loop
from mosaic.training.data_check import check_content, check_fit
from mosaic.training.losses import CrossEntropy
from mosaic.utils import memory
from mosaic.utils.errors import UserError

STEPS, EVAL_INTERVAL = 24, 8
TINY = [
    "--gin_file=quickstart",
    "--gin.IMAGE_SIZE=(64, 128)",
    "--gin.CROP_SIZE=(64, 128)",
    "--gin.NUM_TRAIN=13",
    "--gin.NUM_VAL=6",
    "--gin.BATCH_SIZE=2",
    f"--gin.TRAIN_STEPS={STEPS}",
    "--gin.WARMUP_STEPS=4",
    f"--gin.EVAL_INTERVAL={EVAL_INTERVAL}",
    "--gin.DETERMINISTIC=True",
    "--gin.mosaic.bins=(1, 4)",
    "--gin.mosaic.dropout=0.2",
    "--gin.train.steps_per_log=2",
    "--gin.train.checkpoint_interval=6",
]


def command(root, model_dir, *more):
    return [sys.executable, str(root / "train.py"), f"--model_dir={model_dir}", *TINY, *more]


def finish(arguments):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300)


def history(model_dir):
    path = model_dir / "history.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def wait_for_step(process, model_dir, step):
    """Waits until a run has recorded a step."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        entries = [line for line in _complete_lines(model_dir) if line["step"] >= step]
        if entries:
            return
        time.sleep(0.02)
    raise AssertionError("the run did not get there")


def _complete_lines(model_dir):
    path = model_dir / "history.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def checkpoint_files(folder):
    return {path.name for path in folder.iterdir() if path.name.startswith(("ckpt", "checkpoint"))}


@pytest.fixture(scope="module")
def uninterrupted(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = finish(command(root, folder))
    assert result.returncode == 0, result.stderr
    return folder, result


def test_a_run_leaves_what_it_should(uninterrupted):
    folder, result = uninterrupted
    names = {path.name for path in folder.iterdir()}
    assert {"config.gin", "history.jsonl", "curves.png", "saved_model", "best_ckpt"} <= names
    scores = [entry for entry in history(folder) if "mean_iou" in entry]
    assert [entry["step"] for entry in scores] == [8, 16, 24]
    assert "24/24 step" in result.stderr and "multiply-adds" in result.stderr
    summary = json.loads((folder / "training.json").read_text())
    assert f"--model_dir={folder}" in summary["command"] and summary["machine"]["cores"] >= 1
    assert summary["final"] == scores[-1] and summary["best"] in scores
    assert 0 < summary["seconds"] < 300 and summary["images_per_second"]["median"] > 0
    assert (summary["steps"], summary["batch_size"]) == (STEPS, 2)
    events = tf.io.gfile.glob(str(folder / "*" / "events*"))
    tags = {
        value.tag
        for path in events
        for event in tf.compat.v1.train.summary_iterator(path)
        for value in event.summary.value
    }
    assert {"training_loss", "learning_rate", "mean_iou", "iou/road"} <= tags
    assert any(tag.startswith("validation/") for tag in tags)


def test_a_run_is_recorded_and_its_networks_keep_the_record(uninterrupted):
    folder, _ = uninterrupted
    (entry,) = run_record.entries_in(folder)
    assert (entry.step, entry.ended, entry.start) == (0, STEPS, None)
    assert entry.data["splits"]["train"]["images"] == 13
    assert entry.devices == {"replicas": 1, "images": 2}
    assert entry.configuration["mosaic.bins"] == [1, 4]
    assert entry.configuration["polynomial_decay.steps"] == STEPS
    assert entry.configuration["mosaic.decoder_filters"] == 64  # a default that nobody set
    for place in ("best_ckpt", "saved_model"):
        record = origin.read(folder / place)
        assert (record.entries, record.is_best, record.steps) == ((entry,), True, STEPS)
    assert str(folder) not in (folder / "record.jsonl").read_text()


def test_the_best_checkpoint_is_the_best(uninterrupted):
    folder, _ = uninterrupted
    scores = {e["step"]: e["mean_iou"] for e in history(folder) if "mean_iou" in e}
    best = loading.read(str(folder / "best_ckpt"))
    assert scores[best.step] == max(scores.values())
    recorded = json.loads((folder / "best_ckpt" / f"mean_iou-{best.step}.json").read_text())
    assert recorded["mean_iou"] == pytest.approx(scores[best.step])


@pytest.mark.parametrize("step", [pytest.param(5, marks=pytest.mark.slow), 15])
def test_killed_and_resumed_equals_uninterrupted(root, tmp_path, uninterrupted, step):
    process = subprocess.Popen(
        command(root, tmp_path), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    wait_for_step(process, tmp_path, step)
    process.kill()
    process.wait()
    process.stderr.close()
    stopped_at = max(entry["step"] for entry in _complete_lines(tmp_path))
    assert stopped_at < STEPS
    result = finish(command(root, tmp_path))
    assert result.returncode == 0, result.stderr
    assert "resuming" in result.stderr or step < 6
    whole, _ = uninterrupted
    assert history(tmp_path) == history(whole)
    times = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert [entry["seconds"] for entry in times] == sorted(entry["seconds"] for entry in times)
    assert "seconds" in json.loads((tmp_path / "training.json").read_text())
    ours, theirs = (loading.read(str(folder)) for folder in (tmp_path, whole))
    assert ours.step == theirs.step == STEPS
    assert ours.arrays.keys() == theirs.arrays.keys()
    for name, array in ours.arrays.items():
        np.testing.assert_array_equal(array, theirs.arrays[name], err_msg=name)
    assert checkpoint_files(tmp_path) == checkpoint_files(whole)
    first, second = run_record.entries_in(tmp_path)
    assert (first.ended, second.ended) == (None, STEPS)
    assert second.configuration == first.configuration
    assert first.step == 0 and second.step <= stopped_at


def test_a_signal_saves_before_the_run_leaves(root, tmp_path):
    """SIGTERM, as clusters send it; `test_trainer.py` has SIGINT."""
    number = signal.SIGTERM
    process = subprocess.Popen(
        command(root, tmp_path), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    wait_for_step(process, tmp_path, 4)
    os.kill(process.pid, number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    last = stderr.strip().splitlines()[-1]
    assert f"stopped by {number.name} at step" in last and "run the same command" in last
    saved = loading.read(str(tmp_path))
    assert f"at step {saved.step} and saved" in last
    assert saved.step == max(entry["step"] for entry in history(tmp_path))


def test_a_loss_that_is_not_finite_stops_the_run(root, tmp_path):
    result = finish(command(root, tmp_path, "--gin.LEARNING_RATE=1e30", "--gin.WARMUP_STEPS=0"))
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert "not finite" in last or "the loss is" in last
    assert "last good checkpoint" in last and "Traceback" not in result.stderr
    saved = loading.read(str(tmp_path))
    assert all(np.isfinite(array).all() for array in saved.arrays.values())


@pytest.mark.slow
def test_the_saved_configuration_alone_repeats_the_run(root, tmp_path, uninterrupted):
    whole, _ = uninterrupted
    arguments = [
        sys.executable,
        str(root / "train.py"),
        f"--gin_file={whole / 'config.gin'}",
        f"--model_dir={tmp_path}",
        "--gin.train.steps=6",
    ]
    result = finish(arguments)
    assert result.returncode == 0, result.stderr
    losses = [entry for entry in history(tmp_path) if "loss" in entry]
    assert losses == [e for e in history(whole) if "loss" in e and e["step"] <= 6]


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_the_one_before_serves(root, tmp_path, uninterrupted):
    whole, _ = uninterrupted
    shutil.copytree(whole, tmp_path / "run")
    data = tmp_path / "run" / f"ckpt-{STEPS}.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    result = finish(command(root, tmp_path / "run"))
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()[-1]
    assert f"ckpt-{STEPS}: cannot be restored" in last and "the checkpoint before" in last
    for path in (tmp_path / "run").glob(f"ckpt-{STEPS}.*"):
        path.unlink()
    result = finish(command(root, tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    assert history(tmp_path / "run") == history(whole)


def _refused(run, line, *settings):
    """Goes on with a run under other settings: it must be refused, and stay as it is."""
    before = sorted(run.rglob("*"))
    bindings = [flag.removeprefix("--gin.") for flag in TINY if flag.startswith("--gin.")]
    config.parse([config.find("quickstart")], [*bindings, *settings, "TRAIN_STEPS=30"])
    with pytest.raises(UserError, match=re.escape(line)):
        train_loop.train(str(run))
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("mosaic.bins=(1, 2, 4)", "mosaic.bins was (1, 4), and is (1, 2, 4)"),
        ("mosaic.decoder_filters=32", "mosaic.decoder_filters was 64, and is 32"),
        ("mosaic.projected_filters=(19, 8)", "mosaic.projected_filters was None, and is (19, 8)"),
    ],
)
def test_a_run_of_another_network_is_refused(tmp_path, uninterrupted, setting, told):
    """Also where the checkpoint fits all but a new layer."""
    whole, _ = uninterrupted
    shutil.copytree(whole, tmp_path / "run")
    line = f"another network: {told}; set it back, or take another --model_dir"
    _refused(tmp_path / "run", line, setting)
    assert (tmp_path / "run" / "config.gin").read_text() == (whole / "config.gin").read_text()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("train.optimizer=@adam()", "train.optimizer was @sgd(), and is @adam()"),
        ("train.average_decay=0.99", "train.average_decay was None, and is 0.99"),
    ],
)
def test_a_run_of_another_optimizer_is_refused(tmp_path, uninterrupted, setting, told):
    shutil.copytree(uninterrupted[0], tmp_path / "run")
    line = f"another optimizer: {told}; what it keeps of the steps before does not fit: set it back"
    _refused(tmp_path / "run", line, setting, "adam.learning_rate=0.001")


def test_a_run_of_other_classes_is_refused(tmp_path, uninterrupted):
    whole, _ = uninterrupted
    shutil.copytree(whole, tmp_path / "run")
    file = tmp_path / "run" / "classes.json"
    file.write_text(file.read_text().replace("sidewalk", "pavement"))
    _refused(tmp_path / "run", "class 1 of its network is 'pavement', and 'sidewalk' in")


def test_fewer_steps_than_are_done_leave_the_run_as_it_is(root, tmp_path, uninterrupted):
    whole, _ = uninterrupted
    shutil.copytree(whole, tmp_path / "run")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    result = finish(command(root, tmp_path / "run", "--gin.TRAIN_STEPS=6"))
    assert result.returncode == 0, result.stderr
    assert f"nothing to train: it is at step {STEPS}, and TRAIN_STEPS is 6" in result.stderr
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == times


def test_a_batch_that_no_memory_holds_is_told_before_training(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "total", lambda: 2**30)
    message = r"^train\.batch_size = 65536 at \d+x\d+: it would need at least .* GiB of memory"
    with pytest.raises(UserError, match=message):
        train_loop.train(str(tmp_path), **tiny(drawn, batch_size=65536))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_damaged_best_checkpoint_is_told_first_and_its_mend_ends_the_run(
    root, tmp_path, uninterrupted
):
    whole, _ = uninterrupted
    run, aside = tmp_path / "run", tmp_path / "aside"
    shutil.copytree(whole, run)
    shutil.rmtree(run / "saved_model")
    data = next((run / "best_ckpt").glob("*.data-*"))
    data.write_bytes(data.read_bytes()[:1000])
    result = finish(command(root, run))
    assert result.returncode == 2
    assert f"or move {run / 'best_ckpt'} away and run again" in result.stderr
    (run / "best_ckpt").rename(aside)
    result = finish(command(root, run, "--gin.NUM_TRAIN=12"))
    assert result.returncode == 0, result.stderr
    assert "train has 12 images instead of 13" in result.stderr, "other data is told"
    assert result.stderr.count("the best checkpoint of the steps before is not there") == 1
    assert loading.read(str(run / "best_ckpt")).step == STEPS
    assert (run / "saved_model").is_dir()


@pytest.mark.slow
def test_quantization_aware_training(root, tmp_path):
    result = finish(
        command(
            root,
            tmp_path,
            "--gin_file=models/quantize_aware",
            "--gin.quantize_aware.model=@mosaic()",
            "--gin.INIT_CHECKPOINT=None",
            "--gin.train.steps=4",
        )
    )
    assert result.returncode == 0, result.stderr
    assert [entry["step"] for entry in history(tmp_path) if "mean_iou" in entry] == [4]
    assert (tmp_path / "saved_model").is_dir()
    result = finish(command(root, tmp_path))
    assert result.returncode == 2
    assert "a checkpoint of quantization-aware training, and a float network" in result.stderr


def test_one_named_device_trains(drawn, tmp_path, monkeypatch):
    """And the first checkpoint is listed before it is saved."""
    listed, save = [], tf.train.CheckpointManager.save

    def noted(manager, *arguments, **settings):
        state = loading.state(manager.directory)
        listed.append(state and state.model_checkpoint_path)
        return save(manager, *arguments, **settings)

    monkeypatch.setattr(tf.train.CheckpointManager, "save", noted)
    with runtime(exact_graph=False, devices=("CPU:0",)).scope():
        arguments = tiny(drawn)
        best = train_loop.train(str(tmp_path), **arguments)
    assert best["step"] == 2 and best["mean_iou"] > 0
    assert listed[0] == str(tmp_path / "ckpt-0")
    kernel = arguments["model"].weights[0]
    saved = loading.read(str(tmp_path)).arrays
    np.testing.assert_array_equal(next(v for n, v in saved.items() if "kernel" in n), kernel)


@pytest.mark.parametrize("name", ["steps", "batch_size", "steps_per_log", "eval_interval"])
def test_numbers_that_cannot_be_are_named(drawn, tmp_path, name):
    with pytest.raises(UserError, match=rf"train\.{name} = 0: it must be (at least|from) 1"):
        train_loop.train(str(tmp_path), **tiny(drawn, **{name: 0}))
    assert not list(tmp_path.iterdir())


def test_validation_images_that_are_too_small_are_told_before_training(drawn, tmp_path):
    arguments = tiny(drawn, model=mosaic(3, branch_filters=(8, 8), bins=(8,)))
    arguments["dataset"].crop_size = (128, 128)
    height, width = arguments["dataset"].image_size
    assert min(height, width) < 128
    with pytest.raises(UserError, match=f"images of {height}x{width} are too small"):
        train_loop.train(str(tmp_path), **arguments)
    assert not list(tmp_path.iterdir())


def test_small_images_that_are_padded_are_taken(drawn):
    dataset = type(drawn)()
    model = mosaic(3, branch_filters=(8, 8), bins=(8,))
    check_fit(model, dataset, Evaluation(padded_size=(128, 128)))
    with pytest.raises(UserError, match="images of 64x96 are too small"):
        check_fit(model, dataset, Evaluation())


@pytest.mark.parametrize(
    "crop, is_told", [((96, 64), True), ((64, 96), False), ((96, 96), False), ((32, 48), False)]
)
def test_crops_with_height_and_width_exchanged_are_told(drawn, capsys, crop, is_told):
    dataset = _surveyed(drawn)
    dataset.crop_size, dataset.augment = crop, object()
    check_content(dataset, "val")
    assert (f"is {crop[::-1]} meant?" in capsys.readouterr().err) == is_told


def test_a_missing_split_is_told_with_what_does_not_fit(drawn):
    dataset = type(drawn)()
    dataset.num_images = lambda split: _refuse(f"no split {split!r}")
    with pytest.raises(UserError, match="no split 'nowhere'"):
        check_fit(mosaic(3, bins=(1,)), dataset, Evaluation(split="nowhere"))


def _refuse(message):
    raise UserError(message)


def _surveyed(drawn, **found):
    """The data set with what it has counted: remarks on splits, images by size."""
    dataset = type(drawn)()
    dataset.crop_size = dataset.image_size
    dataset.check_labels = lambda split: found.get("remarks", {}).get(split, [])
    dataset.first_of_sizes = lambda split: found.get("sizes", {})
    dataset.fingerprint = lambda split: "f"
    return dataset


def test_an_image_that_is_too_small_is_named_before_training(drawn, tmp_path):
    dataset = _surveyed(drawn, sizes={(64, 96): "good.png", (9, 12): "tiny.png"})
    arguments = {**tiny(drawn, model=mosaic(3, bins=(1, 4))), "dataset": dataset}
    with pytest.raises(UserError, match=r"^tiny\.png: images of 9x12 are too small"):
        train_loop.train(str(tmp_path), **arguments)
    assert not list(tmp_path.iterdir())


def test_classes_that_cannot_be_learnt_are_told(drawn, capsys):
    remarks = {"train": ["train: no pixel of absent"], "val": ["val: 1 image is in train"]}
    check_content(_surveyed(drawn, remarks=remarks), "val")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["warning: train: no pixel of absent", "warning: val: 1 image is in train"]
    check_content(_surveyed(drawn, remarks=remarks), "train")
    assert capsys.readouterr().err.splitlines() == lines[:1]


def test_nothing_to_score_on_is_told(drawn, tmp_path):
    arguments = tiny(drawn)
    arguments["dataset"].labels[:] = 255
    with pytest.raises(UserError, match="drawn val: no labelled pixels to score on"):
        train_loop.train(str(tmp_path), **arguments)
    assert not list((tmp_path / "best_ckpt").iterdir())


def test_class_weights_are_counted_before_training(drawn, tmp_path):
    loss = CrossEntropy(class_weights=[1.0, 2.0])
    with pytest.raises(UserError, match="class_weights has 2 values, and drawn has 3 classes"):
        train_loop.train(str(tmp_path), **tiny(drawn, loss=loss))
    assert not list(tmp_path.iterdir())


def test_a_missing_initial_checkpoint_is_told_before_all_else(tmp_path, monkeypatch):
    def not_called():
        raise AssertionError

    monkeypatch.setattr(train_loop, "runtime", not_called)
    try:
        cli.configure([config.find("quickstart")], ["INIT_CHECKPOINT = 'nowhere'"], None)
        with pytest.raises(UserError, match="INIT_CHECKPOINT=nowhere: no such file"):
            train_loop.run(str(tmp_path / "run"))
    finally:
        gin.clear_config()
    assert not list(tmp_path.iterdir())
