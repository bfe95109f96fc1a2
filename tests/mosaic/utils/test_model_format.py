"""Which form of model a path names."""

import tarfile

import pytest

from mosaic.utils import model_format


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (("run/saved_model/saved_model.pb", "run/saved_model/variables/variables.index"), "saved"),
        (("run/saved_model/saved_model.pb", "run/ckpt-7.index"), "network"),
        (("ckpt-7.index", "ckpt-7.data-00000-of-00001"), "network"),
        ((), "network"),
    ],
)
def test_forms_of_archives(tmp_path, names, form):
    path = tmp_path / "x.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    assert model_format.format_of(str(path)) == form + "_model" * (form == "saved")


def test_forms_of_files_and_folders(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    assert model_format.format_of("x.tflite") == "tflite"
    assert model_format.format_of(str(tmp_path / "saved")) == "saved_model"
    assert model_format.format_of(str(tmp_path)) == "network"


def test_the_prefix_of_a_checkpoint_is_there_with_its_files(tmp_path):
    (tmp_path / "ckpt-7.index").touch()
    assert model_format.is_there(str(tmp_path))
    assert model_format.is_there(str(tmp_path / "ckpt-7"))
    assert not model_format.is_there(str(tmp_path / "ckpt-8"))


@pytest.mark.parametrize(
    "name, what", [("x.onnx", "ONNX"), ("x.PTH", "PyTorch"), ("x.pb", "graph a")]
)
def test_other_formats_are_told(tmp_path, name, what):
    (tmp_path / name).touch()
    assert what in model_format.other_format(str(tmp_path / name))
    assert model_format.other_format(str(tmp_path / "ckpt-7.pb")) is None


@pytest.mark.parametrize("name", ["x.TFLITE", "x.lite", "x", "x.bin"])
def test_tflite_files_under_other_names_are_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x1c\0\0\0TFL3")
    assert "end in .tflite" in model_format.other_format(str(tmp_path / name))


@pytest.mark.parametrize(
    "start, what",
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\n<!DOCTYPE html>", "web page"),
        (b"PK\x03\x04", "zip archive"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x89HDF\r\n", "Keras"),
        (b"weights", ""),
    ],
)
def test_what_stands_in_the_place_of_a_model_is_told(start, what):
    assert what in model_format.kind_of(start) and bool(model_format.kind_of(start)) == bool(what)
