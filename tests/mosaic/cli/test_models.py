"""The model that a command works on."""

import pathlib

import pytest
from absl import flags

import mosaic
from mosaic import cli
from mosaic.utils.errors import UserError

ROOT = pathlib.Path(mosaic.__file__).resolve().parent.parent


@pytest.mark.parametrize("text, size", [(None, None), ("512x1024", (512, 1024))])
def test_parse_size(text, size):
    assert cli.parse_size(text) == size


@pytest.mark.parametrize("text", ["512", "512x", "x512", "axb", "1x2x3", "-1x2"])
def test_parse_size_of_another_form(text):
    with pytest.raises(UserError, match="write HEIGHTxWIDTH"):
        cli.parse_size(text)


def test_a_size_that_no_memory_holds():
    with pytest.raises(UserError, match=r"^--size=999999x999999: it would need at least .* GiB"):
        cli.parse_size("999999x999999")


def test_what_predict_works_on(tmp_path):
    """A named experiment goes before the one that a run has saved."""
    (tmp_path / "config.gin").touch()
    (tmp_path / "checkpoint").touch()
    (tmp_path / "ckpt-3.index").touch()
    values = cli.common_flags("gin_file")
    flags.DEFINE_string("model", None, "", flag_values=values)
    saved = str(tmp_path / "config.gin")
    named = str(ROOT / "configs" / "quickstart.gin")
    for path, checkpoint in ((tmp_path, tmp_path), (tmp_path / "ckpt-3", tmp_path / "ckpt-3")):
        for arguments, files in (([], [saved]), (["--gin_file=quickstart"], [named])):
            values.unparse_flags()
            values(["predict.py", f"--model={path}", *arguments])
            assert cli.model_and_files(values) == (str(checkpoint), files)
            values.gin_file = []
