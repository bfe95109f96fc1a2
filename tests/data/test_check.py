import subprocess
import sys

import cv2
import numpy as np
import pytest

from data import check
from data.camvid import camvid
from mosaic.utils import contact_sheet


def _write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


@pytest.fixture
def folder(tmp_path):
    """CamVid's layout: three training images, one of another size, and one for validation."""
    sizes = {"train": [(40, 60), (40, 60), (20, 30)], "val": [(40, 60)]}
    for split, all_sizes in sizes.items():
        for index, size in enumerate(all_sizes):
            label = np.zeros(size, np.uint8)
            label[: size[0] // 4] = 3
            label[-1] = 11
            _write(tmp_path / "in" / split / f"{index}.png", np.full((*size, 3), 100, np.uint8))
            _write(tmp_path / "in" / f"{split}annot" / f"{index}.png", label)
    return tmp_path / "in"


def _survey(folder, **settings):
    return check.survey(check.layout_of("camvid", str(folder), settings))


def test_survey(folder):
    found = _survey(folder)
    assert found.images == {"train": 3, "val": 1} and found.problems == []
    assert found.sizes["train"] == {(40, 60): 2, (20, 30): 1}
    assert found.pixels["train"][3] == 2 * 10 * 60 + 5 * 30
    assert found.ignored == {"train": 2 * 60 + 30, "val": 60}
    assert found.pixels["train"].sum() + 150 == 2 * 2400 + 600


def test_every_problem_is_listed_and_none_ends_it(folder):
    (folder / "train" / "0.png").write_bytes(b"")
    _write(folder / "trainannot" / "1.png", np.full((40, 60), 200, np.uint8))
    (folder / "valannot" / "0.png").unlink()
    _write(folder / "valannot" / "9.png", np.zeros((40, 60), np.uint8))
    found = _survey(folder)
    assert len(found.problems) == 3
    for name, what in (("0.png", "empty"), ("1.png", "label 200"), ("valannot/0.png", "missing")):
        assert any(name in line and what in line for line in found.problems), name
    assert found.sizes["train"] == {(20, 30): 1}
    (stray,) = found.strays
    assert "valannot/9.png: a mask without an image" in stray


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
    assert "CLASS_WEIGHTS = (" in text and "Road" in text and "ignored" in text


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
    good = _command(folder, tmp_path / "out")
    assert good.returncode == 0, good.stderr
    names = ["sheet_train.png", "sheet_training.png", "sheet_val.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    sheet = cv2.imread(str(tmp_path / "out" / "sheet_train.png"))
    assert sheet.shape[1] == 3 * 366 and sheet.shape[0] > 480
    (folder / "val" / "0.png").write_bytes(b"")
    bad = _command(folder, tmp_path / "none")
    assert bad.returncode == 2 and "1 problem, listed above" in bad.stderr
    assert "val/0.png: empty" in bad.stdout and not (tmp_path / "none").exists()


def test_data_that_is_only_evaluated_has_no_sheet_of_training(folder, tmp_path):
    written = contact_sheet.write(camvid(str(folder)), str(tmp_path / "out"))
    assert [path.name for path in written] == ["sheet_train.png", "sheet_val.png"]
    assert sorted((tmp_path / "out").iterdir()) == written
