"""Checkpoints of this project, written from weights of any form."""

import numpy as np
import pytest
import tf_keras

from mosaic.checkpoints import loading
from mosaic.export import checkpoint
from mosaic.models.variables import Variables
from mosaic.utils.errors import RunError


def test_it_is_read_as_it_was_written(small_network, drawn, tmp_path):
    (tmp_path / "config.gin").write_text("A = 3\n")
    folder = tmp_path / "out"
    loaded = Variables("x", "garden", 7, {})
    prefix = checkpoint.save(
        small_network, str(folder), loaded, drawn, str(tmp_path / "config.gin"), "record"
    )
    assert prefix == f"{folder}/ckpt-7"
    assert (folder / "config.gin").read_text() == "A = 3\n"
    assert (folder / "record.jsonl").read_text() == "record"
    assert (folder / "classes.json").is_file()
    other = tf_keras.models.clone_model(small_network)
    found = loading.load(other, str(folder))
    assert (found.format, found.step) == ("mosaic", 7)
    for one, two in zip(other.variables, small_network.variables):
        np.testing.assert_array_equal(one, two)


def test_one_that_reads_otherwise_is_not_kept(small_network, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "read", lambda path: Variables("x", "mosaic", 0, {}))
    with pytest.raises(RunError, match="reads otherwise"):
        checkpoint.save(small_network, str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []
