"""The configuration of a command: data, paths, and what it does not need."""

import logging

import gin
import pytest
import tensorflow as tf

from mosaic import cli, config


def test_data_dir_becomes_the_macro(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camvid").mkdir()
    cli.configure([config.find("mosaic_camvid")], ["BATCH_SIZE = 2"], "camvid")
    assert gin.query_parameter("%DATA_DIR") == str(tmp_path / "camvid")
    assert gin.query_parameter("%BATCH_SIZE") == 2


FOLDERS = ("DATA_DIR = 'images'", "NUM_CLASSES = 2", "CROP_SIZE = (64, 64)")


def test_paths_of_macros_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for name in ("labels.json", "ckpt-7.index"):
        (tmp_path / name).touch()
    given = (*FOLDERS, "LABEL_MAP = 'labels.json'", "INIT_CHECKPOINT = 'ckpt-7'")
    cli.configure([config.find("mosaic_folders")], given, None)
    for macro, name in (
        ("DATA_DIR", "images"),
        ("LABEL_MAP", "labels.json"),
        ("INIT_CHECKPOINT", "ckpt-7"),
    ):
        assert gin.query_parameter(f"%{macro}") == str(tmp_path / name)


def test_macros_and_parameters_may_name_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    given = ("NUM_CLASSES = 2", "CROP_SIZE = (64, 64)", "DATA_DIR = '~/images'")
    own = ("LABEL_MAP = '~/labels.json'", "train.init_checkpoint = '~/ckpt-7'")
    cli.configure([config.find("mosaic_folders")], (*given, *own), None)
    assert gin.query_parameter("%DATA_DIR") == str(tmp_path / "images")
    assert gin.query_parameter("%LABEL_MAP") == str(tmp_path / "labels.json")
    assert gin.query_parameter("train.init_checkpoint") == str(tmp_path / "ckpt-7")


def test_what_is_no_path_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camvid").mkdir()
    given = (*FOLDERS, "LABEL_MAP = 'camvid'", "INIT_CHECKPOINT = 'nowhere'")
    cli.configure([config.find("mosaic_folders")], given, None)
    for macro, kept in (("LABEL_MAP", "camvid"), ("INIT_CHECKPOINT", "nowhere")):
        assert gin.query_parameter(f"%{macro}") == kept


def test_only_errors_of_tensorflow_are_shown(monkeypatch):
    """An error is one line: TensorFlow's warnings about a damaged state file are none of it."""
    monkeypatch.setattr(tf.get_logger(), "level", logging.WARNING)
    cli.configure([config.find("quickstart")], [], None)
    assert tf.get_logger().level == logging.ERROR


def test_what_a_run_started_from_is_not_known_from_its_experiment(tmp_path):
    cli.configure([config.find("mosaic_cityscapes")], [], str(tmp_path), cli.NOT_TRAINING)
    assert config.value("train.init_checkpoint") == config.UNKNOWN


def test_what_the_data_would_tell_is_not_needed_without_data():
    files = [config.find("mosaic_folders")]
    cli.configure(files, ["NUM_CLASSES = 2"], None, cli.NO_DATA)
    assert gin.query_parameter("%CROP_SIZE") is None
    gin.clear_config()
    with pytest.raises(ValueError, match=r"^the number of classes .* give --gin\.LABEL_MAP=FILE"):
        cli.configure(files, [], None, cli.NO_DATA)
