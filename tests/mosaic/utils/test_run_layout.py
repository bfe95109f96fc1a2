"""A run's folder: which of its checkpoints counts."""

import os

import pytest

from mosaic.utils import run_layout
from mosaic.utils.errors import UserError


def test_default_checkpoint(tmp_path):
    with pytest.raises(UserError, match="no checkpoint in it yet"):
        run_layout.default_checkpoint(str(tmp_path))
    (tmp_path / "checkpoint").touch()
    assert run_layout.default_checkpoint(str(tmp_path)) == str(tmp_path)
    best = tmp_path / "best_ckpt"
    best.mkdir()
    (best / "checkpoint").touch()
    assert run_layout.default_checkpoint(str(tmp_path)) == str(best)


@pytest.mark.parametrize(
    "name",
    [
        *("config.gin", "record.jsonl", "history.jsonl", "times.jsonl", "classes.json"),
        *("checkpoint", "ckpt-7.index", "ckpt-7.data-00000-of-00001", "best_ckpt/checkpoint"),
        *("best_ckpt/mean_iou-7.json", "best_ckpt/ckpt-7.index"),
    ],
)
def test_pipes_in_a_run_are_told_and_not_read(tmp_path, name):
    (tmp_path / "best_ckpt").mkdir()
    os.mkfifo(tmp_path / "own.pipe")  # Nothing reads it.
    run_layout.check_files(str(tmp_path))
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}: a pipe or a device, which is not read"):
        run_layout.default_checkpoint(str(tmp_path))
