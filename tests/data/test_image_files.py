"""Files of images and labels: what is wrong with one is told, and the file is named."""

import io
import os
import shutil
import struct
import warnings
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from camvid_folders import HEIGHT, WIDTH, examples, load
from data import image_files
from data.decoding import decode
from data.errors import DataError

# What can be wrong with a folder. Each fault returns the file or folder that must be named.


def missing_folder(root):
    shutil.rmtree(root)
    return root


def no_splits(root):
    shutil.rmtree(root)
    root.mkdir()
    return root


def missing_labels(root):
    shutil.rmtree(root / "valannot")
    return root / "valannot"


def no_images(root):
    for file in (root / "val").iterdir():
        file.unlink()
    return root / "val"


def missing_label(root):
    file = root / "valannot" / "val_001.png"
    file.unlink()
    return file


def truncated(folder):
    def fault(root):
        file = root / folder / "val_001.png"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        return file

    return fault


def empty(folder):
    def fault(root):
        file = root / folder / "val_001.png"
        file.write_bytes(b"")
        return file

    return fault


def not_an_image(root):
    file = root / "val" / "val_001.png"
    file.write_text("version https://git-lfs.github.com/spec/v1")
    return file


def replaced(folder, pixels):
    def fault(root):
        file = root / folder / "val_001.png"
        cv2.imwrite(str(file), pixels)
        return file

    return fault


def pipe(root):
    file = root / "val" / "val_001.png"
    file.unlink()
    os.mkfifo(file)
    return file


def device(root):
    file = root / "valannot" / "val_001.png"
    file.unlink()
    file.symlink_to("/dev/zero")
    return file


FAULTS = {
    "pipe": pipe,
    "device": device,
    "missing folder": missing_folder,
    "folder without splits": no_splits,
    "missing label folder": missing_labels,
    "split without images": no_images,
    "missing label": missing_label,
    "truncated image": truncated("val"),
    "truncated label": truncated("valannot"),
    "empty image": empty("val"),
    "empty label": empty("valannot"),
    "image is text": not_an_image,
    "label of another size": replaced("valannot", np.zeros((HEIGHT, WIDTH + 1), np.uint8)),
    "unknown label 57": replaced("valannot", np.full((HEIGHT, WIDTH), 57, np.uint8)),
    "RGB label": replaced("valannot", np.zeros((HEIGHT, WIDTH, 3), np.uint8)),
    "16-bit label": replaced("valannot", np.zeros((HEIGHT, WIDTH), np.uint16)),
    "grey image": replaced("val", np.zeros((HEIGHT, WIDTH), np.uint8)),
    "16-bit image": replaced("val", np.zeros((HEIGHT, WIDTH, 3), np.uint16)),
    "image with alpha": replaced("val", np.zeros((HEIGHT, WIDTH, 4), np.uint8)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_fault_is_named(tree, tmp_path, fault):
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    wrong = fault(root)
    with pytest.raises(DataError) as error:
        load(root)
    assert error.value.exit_code == 2
    # One line names the file and what is wrong; Gin adds lines of its own below.
    assert str(error.value).splitlines()[0].startswith(f"{wrong}: ")


def test_unknown_label_is_told_with_what_is_known(tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    FAULTS["unknown label 57"](root)
    with pytest.raises(DataError, match=r"label 57 .*0 to 10, void 11"):
        load(root)


def test_a_mended_folder_loads(tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    wrong = FAULTS["truncated image"](root)
    with pytest.raises(DataError):
        load(root)
    shutil.copy(tree[0] / "val" / wrong.name, wrong)
    assert examples(load(root), "val").keys() == tree[1]["val"].keys()


@pytest.mark.parametrize("is_packed", [True, False])
def test_files_that_would_fill_the_memory_are_not_read(tmp_path, monkeypatch, is_packed):
    monkeypatch.setattr(image_files, "_MOST_BYTES", 100)
    (tmp_path / "x.png").write_bytes(bytes(101))
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "x.png", "x.png")
    packed = image_files.Member(zipfile.ZipFile(tmp_path / "x.zip"), "x.png")
    file = packed if is_packed else image_files.File(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"x\.png: 101 bytes, more than any image has \(100\)"):
        file.read()


def _png(width, height):
    """A PNG whose header claims a size and that has no pixels."""
    content = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    content.seek(0, io.SEEK_END)
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1))),
        (b"IEND", b""),
    ):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        content.write(struct.pack(">I", len(data)) + kind + data + checksum)
    return content.getvalue()


@pytest.mark.parametrize(
    "side, message",
    [
        (100_000, r"^x\.png: 10,000,000,000 pixels, more than the 178,956,970 that are read; cut"),
        (11_000, "not a whole PNG"),  # which could be read
    ],
)
def test_too_many_pixels_are_told_before_they_are_unpacked(side, message):
    with warnings.catch_warnings(record=True) as told, pytest.raises(DataError, match=message):
        decode("x.png", _png(side, side), ("PNG",))
    assert not told


def test_links_that_lead_back_are_not_followed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.png").touch()
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "y.png").touch()
    (tmp_path / "a" / "other").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(tmp_path / "a")  # through two links
    found = [path.relative_to(tmp_path).as_posix() for path in image_files.below(tmp_path / "a")]
    assert found == ["a/other/y.png", "a/x.png"]


def test_names_that_are_no_text_are_told(tmp_path):
    (tmp_path / os.fsdecode(b"stra\xdfe.png")).touch()
    with pytest.raises(DataError, match=r"the name b'stra\\xdfe\.png' in it is not UTF-8; rename"):
        image_files.below(tmp_path)


def test_names_of_other_files_may_be_of_any_encoding(tmp_path):
    for name in (b"._stra\xdfe.png", b"stra\xdfe.txt", b"a.png"):
        (tmp_path / os.fsdecode(name)).touch()
    assert tmp_path / "a.png" in image_files.below(tmp_path)
