"""The check of a data set: what is counted, what is wrong, and the command."""

import collections
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from camvid_folders import write_file, write_uneven
from data import check
from data.camvid import camvid
from data.errors import DataError
from data.image_files import File
from data.reading import Problems
from data.street_scenes import street_scenes


@pytest.fixture
def folder(tmp_path):
    return write_uneven(tmp_path / "in")


def _survey(folder, **settings):
    return check.survey(check.layout_of("camvid", str(folder), settings))


def test_survey(folder):
    found = _survey(folder)
    assert found.images == {"train": 3, "val": 1}
    assert found.problems == []
    assert found.sizes["train"] == {(40, 60): 2, (20, 30): 1}
    assert found.pixels["train"][3] == 2 * 10 * 60 + 5 * 30
    assert found.ignored == {"train": 2 * 60 + 30, "val": 60}
    assert found.pixels["train"].sum() + 150 == 2 * 2400 + 600


def test_every_problem_is_listed_and_none_ends_it(folder):
    (folder / "train" / "0.png").write_bytes(b"")
    write_file(folder / "trainannot" / "1.png", np.full((40, 60), 200, np.uint8))
    (folder / "valannot" / "0.png").unlink()
    write_file(folder / "valannot" / "9.png", np.zeros((40, 60), np.uint8))
    found = _survey(folder)
    assert len(found.problems) == 3
    for name, what in (("0.png", "empty"), ("1.png", "label 200"), ("valannot/0.png", "missing")):
        assert any(name in line and what in line for line in found.problems), name
    assert found.sizes["train"] == {(20, 30): 1}
    (stray,) = found.strays
    assert "valannot/9.png: a mask without an image" in stray


def test_every_file_is_read_once_also_where_records_are_written(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "records"))
    reads = collections.Counter()
    whole = File.read

    def counted(self):
        reads[self.path] += 1
        return whole(self)

    monkeypatch.setattr(File, "read", counted)
    found = _survey(folder)
    dataset = camvid(str(folder))
    assert set(reads.values()) == {1} and len(reads) == 8
    assert (
        dataset.counts("train").pixels(dataset.label_map).tolist() == found.pixels["train"].tolist()
    )
    _survey(folder)
    assert set(reads.values()) == {2}  # what is on the disk now, not what records had then


def test_an_image_of_two_splits_is_told(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "records"))
    write_file(folder / "val" / "0.png", np.full((40, 60, 3), 77, np.uint8))
    shutil.copy(folder / "train" / "2.png", folder / "val" / "copy.png")
    shutil.copy(folder / "trainannot" / "2.png", folder / "valannot" / "copy.png")
    found = _survey(folder)
    (line,) = [line for line in found.remarks if "another split" in line]
    assert "val: 1 of 2 images is in another split too" in line
    assert "val/copy.png is " in line and "train/2.png)" in line
    assert f"warning: {line}" in check.table(found)
    # Records keep it.
    assert line in camvid(str(folder)).check_labels("val")


@pytest.mark.parametrize(
    "count, told",
    [
        (1, ["1 image: 1", "and 1 more size\n", "1 mask without an image:"]),
        (2, ["2 images: 1", "and 2 more sizes\n", "2 masks without an image:"]),
    ],
)
def test_one_of_a_kind_is_told_as_one(count, told):
    found = check.Survey(("road",), images={"val": count}, strays=["stray"] * count)
    found.sizes["val"] = collections.Counter((8, side) for side in range(3 + count))
    for text in told:
        assert text in check.table(found)


def test_a_table_of_nothing_is_left_out(folder):
    for file in folder.glob("*annot/*.png"):
        write_file(file, np.full((40, 60), 200, np.uint8))
    text = check.table(_survey(folder))
    assert "train: 3 images" in text
    assert "class" not in text and "ignored" not in text


def test_faults_of_many_files_are_told_once(tmp_path):
    folder = tmp_path / "in"
    (folder / "labels.json").parent.mkdir()
    (folder / "labels.json").write_text(
        '{"classes": [{"name": "a", "label": 0}, {"name": "b", "label": 1}]}'
    )
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for split in ("train", "val"):
        (folder / split).mkdir()
        (folder / f"{split}annot").mkdir()
        for number in range(2):
            image, mask = Image.new("RGB", (8, 6), (number, 0, 0)), Image.new("L", (6, 8))
            image.save(folder / split / f"{number}.jpg", exif=turned if split == "val" else b"")
            mask.save(folder / f"{split}annot" / f"{number}.png")
    layout = check.layout_of("folders", str(folder), {"label_map": str(folder / "labels.json")})
    lines = check.survey(layout).problems
    assert len(lines) == 2
    assert "trainannot/0.png and 1 more: 6x8 pixels, but its image has 8x6" in lines[0]
    assert "val/0.jpg and 1 more: turned or mirrored by its EXIF orientation" in lines[1]


def test_damaged_files_write_no_records(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "records"))
    (folder / "train" / "1.png").write_bytes(b"")
    _survey(folder)
    assert not list((tmp_path / "records").rglob("*.array_record*"))


def test_all_that_stops_training_is_told_at_once(folder):
    for name in ("train/0.png", "trainannot/1.png", "valannot/0.png"):
        (folder / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"train/0\.png: empty.* \(and 2 more\)") as caught:
        camvid(str(folder))
    lines = caught.value.details
    assert [line.split("/")[-1].split(":")[0] for line in lines] == ["0.png", "1.png", "0.png"]
    assert all("empty; copy the file again" in line for line in lines)


def test_a_long_list_is_cut():
    error = Problems([f"{i}.png: empty" for i in range(50)])
    assert len(error.details) == 21 and error.details[-1].startswith("  and 30 more")


def test_drawn_scenes_are_counted(tmp_path):
    dataset = street_scenes(size=(64, 64), num_train=2, num_val=1, data_dir=str(tmp_path))
    found = check.survey_of(dataset)
    assert found.images == {"train": 2, "val": 1}
    assert found.pixels["train"].sum() + found.ignored["train"] == 2 * 64 * 64
    assert found.remarks[0].startswith("street_scenes: train: no pixel of ")


def test_progress_is_told_of_every_image(folder):
    class Bar:
        done = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self):
            self.done += 1

    bar = Bar()
    check.survey(check.layout_of("camvid", str(folder), {}), lambda count: bar)
    assert bar.done == 4


def test_class_weights():
    weights = check.class_weights(np.array([900, 100, 0]), power=0.5)
    assert weights[2] == 1.0
    assert weights[1] / weights[0] == pytest.approx(3.0)
    assert 0.9 * weights[0] + 0.1 * weights[1] == pytest.approx(1.0)


def test_table(folder):
    text = check.table(_survey(folder))
    assert "train: 3 images: 2 of 40x60, 1 of 20x30" in text
    assert "CLASS_WEIGHTS = (" in text
    assert "Road" in text
    assert "ignored" in text


def _command(folder, out, *arguments):
    return subprocess.run(
        [
            sys.executable,
            "check_data.py",
            "--gin_file=mosaic_camvid",
            f"--data_dir={folder}",
            f"--output_dir={out}",
            *arguments,
        ],
        capture_output=True,
        text=True,
    )


def test_command(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "records"))
    small = _command(folder, tmp_path / "small")
    assert small.returncode == 2  # as train.py
    assert "val/0.png: images of 40x60 are too small" in small.stderr.splitlines()[-1]
    good = _command(folder, tmp_path / "out", "--gin.mosaic.bins=(1, 2)")
    assert good.returncode == 0, good.stderr
    names = ["sheet_train.png", "sheet_training.png", "sheet_val.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    sheet = cv2.imread(str(tmp_path / "out" / "sheet_train.png"))
    assert sheet.shape[1] == 3 * 366
    assert sheet.shape[0] > 480
    (folder / "val" / "0.png").write_bytes(b"")
    bad = _command(folder, tmp_path / "none")
    assert bad.returncode == 2
    assert "1 problem, listed above" in bad.stderr
    assert "val/0.png: empty" in bad.stdout
    assert not (tmp_path / "none").exists()
