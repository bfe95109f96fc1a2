"""A run from start to export whose every path is on TensorFlow's file system in memory."""

import json
import runpy
import sys
import uuid

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from PIL import Image

from mosaic.models.inputs import image_input
from mosaic.models.layers import Norm, conv_bn

gfile = tf.io.gfile


@pytest.fixture(scope="module", autouse=True)
def _tiny_elsewhere():
    @gin.configurable("tiny_elsewhere", module="networks")
    def tiny(classes):
        images, x = image_input("imagenet")
        x = conv_bn(Norm(), "stem", 4, 3, 4)(x)
        return tf_keras.Model(
            images, tf_keras.layers.Conv2D(classes, 1, name="logits")(x), name="tiny"
        )


@pytest.fixture
def place(monkeypatch):
    """A place with a small data set of folders."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    place = f"ram://{uuid.uuid4().hex}"
    rng = np.random.default_rng(0)
    # This file system mixes up names that begin alike, such as train and trainannot.
    for folder in ("images", "masks"):
        gfile.makedirs(f"{place}/data/{folder}")
    for index in range(5):
        label = rng.integers(0, 2, (32, 48)).astype(np.uint8)
        image = np.stack([label * 200] * 3, -1)
        for folder, pixels in (("images", image), ("masks", label)):
            with gfile.GFile(f"{place}/data/{folder}/{index}.png", "wb") as file:
                Image.fromarray(pixels).save(file, "png")
    for split, names in (("train", "0\n1\n"), ("val", "2\n3\n4\n")):
        with gfile.GFile(f"{place}/data/{split}.txt", "w") as file:
            file.write(names)
    classes = [{"name": n, "color": [i, i, i], "label": i} for i, n in enumerate("ab")]
    return place, json.dumps({"classes": classes, "ignore_label": 255})


def command(root, monkeypatch, program, *arguments):
    monkeypatch.setattr(sys, "argv", [str(root / program), *arguments])
    gin.clear_config()
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(root / program), run_name="__main__")
    return ended.value.code


def test_a_run_from_start_to_export(root, monkeypatch, capsys, place, tmp_path):
    place, classes = place
    (tmp_path / "ab.json").write_text(classes)
    run = [
        *("--gin_file=mosaic_folders", f"--data_dir={place}/data", f"--model_dir={place}/run"),
        *(f"--gin.LABEL_MAP={tmp_path / 'ab.json'}", "--gin.NUM_CLASSES=2"),
        *("--gin.CROP_SIZE=(32, 48)", "--gin.BATCH_SIZE=2", "--gin.INIT_CHECKPOINT=None"),
        *("--gin.train.model=@tiny_elsewhere()", "--gin.tiny_elsewhere.classes=2"),
        *("--gin.EVAL_INTERVAL=2", "--gin.WARMUP_STEPS=0", "--gin.train.steps_per_log=1"),
    ]
    assert command(root, monkeypatch, "train.py", *run, "--gin.TRAIN_STEPS=2") == 0
    assert command(root, monkeypatch, "train.py", *run, "--gin.TRAIN_STEPS=4") == 0
    said = capsys.readouterr().err
    assert f"resuming {place}/run at step 2 of 4" in said and "mosaic_copy_" not in said
    with gfile.GFile(f"{place}/run/history.jsonl") as file:
        assert [json.loads(line)["step"] for line in file] == [1, 2, 2, 3, 4, 4]
    names = {"config.gin", "best_ckpt", "saved_model", "training.json", "curves.png", "train"}
    assert names <= set(gfile.listdir(f"{place}/run"))
    assert tf.train.latest_checkpoint(f"{place}/run") == f"{place}/run/ckpt-4"

    assert command(root, monkeypatch, "eval.py", f"--model_dir={place}/run") == 0
    with gfile.GFile(f"{place}/run/eval/report.json") as file:
        report = json.load(file)
    assert report["num_images"] == 3 and report["checkpoint"] == f"{place}/run/best_ckpt"

    score = [f"--model_dir={place}/run", f"--output_dir={place}/again"]
    assert command(root, monkeypatch, "eval.py", *score) == 0
    two = [f"--compare={place}/run/eval", f"--compare={place}/again", f"--output_dir={place}/both"]
    capsys.readouterr()
    assert command(root, monkeypatch, "eval.py", *two) == 0
    said = capsys.readouterr().out
    assert said.startswith("run  ") and "\nagain  " in said

    export = [f"--model_dir={place}/run", f"--export_dir={place}/out", "--quantize=none"]
    assert command(root, monkeypatch, "export.py", *export) == 0
    assert gfile.exists(f"{place}/out/tiny_float32_logits.tflite")
    loaded = tf.saved_model.load(f"{place}/out/saved_model")
    assert loaded.signatures["serving_default"](tf.zeros([1, 32, 48, 3]))["logits"].shape[3] == 2

    predict = [f"--model={place}/out/saved_model", f"--images={place}/data/images"]
    assert command(root, monkeypatch, "predict.py", *predict, f"--output_dir={place}/p") == 0
    assert len(gfile.listdir(f"{place}/p/labels")) == 5


def test_what_must_be_here_is_told(root, monkeypatch, capsys):
    code = command(root, monkeypatch, "benchmark.py", "a.tflite", "--scores=a=ram://x/report.json")
    assert code == 2
    assert "--scores=a=ram://x/report.json: it must be on this machine" in capsys.readouterr().err


def test_a_pattern_is_for_paths_of_this_machine(root, monkeypatch, capsys):
    arguments = ["--model=a.tflite", "--images=ram://x/*.jpg", "--output_dir=out"]
    assert command(root, monkeypatch, "predict.py", *arguments) == 2
    assert "ram://x/*.jpg: patterns are for paths of this machine" in capsys.readouterr().err


def test_data_that_cannot_be_read(root, monkeypatch, capsys, tmp_path):
    run = ["--gin_file=mosaic_camvid", f"--model_dir={tmp_path / 'run'}"]
    assert command(root, monkeypatch, "train.py", *run, "--data_dir=ram://nothing/here") == 2
    assert "ram://nothing/here: no such folder, or nothing in it" in capsys.readouterr().err
    monkeypatch.setenv("TFDS_DATA_DIR", "ram://records")
    assert command(root, monkeypatch, "train.py", *run, "--data_dir=ram://nothing/here") == 2
    assert "TFDS_DATA_DIR=ram://records: records are read in random" in capsys.readouterr().err
