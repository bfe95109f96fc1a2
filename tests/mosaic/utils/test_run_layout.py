"""A run's folder: which of its checkpoints counts."""

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
