"""Flags that commands share."""

import pathlib
import re

import pytest
from absl import flags

import mosaic
from mosaic import cli

ROOT = pathlib.Path(mosaic.__file__).resolve().parent.parent


def test_the_home_folder_is_found_in_every_path(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = []
    run(lambda values, _: seen.append(values), "--gin_file=~/a", "--gin_file=b", "--model_dir=~")
    (values,) = seen
    assert values.gin_file == [f"{tmp_path}/a", "b"]
    assert values.model_dir == str(tmp_path)


def test_both_halves_of_a_score_may_be_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    values = cli.common_flags()
    flags.DEFINE_multi_string("scores", [], "", flag_values=values)
    seen = []
    arguments = ["--scores=~/a=~/b", "--scores=c=0.5", "~/d", "e"]
    cli.run("", values, lambda *all_: seen.extend(all_), arguments, takes_more=True)
    assert seen[0].scores == [f"{tmp_path}/a={tmp_path}/b", "c=0.5"]
    assert seen[2] == [f"{tmp_path}/d", "e"]


def test_nobodys_home_folder_is_not_made(run):
    code, _, err = run(lambda *_: None, "--model_dir=~nobody_at_all/x")
    assert code == 2
    assert err.startswith("train.py: --model_dir=~nobody_at_all/x: no such user's folder")


@pytest.mark.parametrize("flag", ["--model_dir=", "--gin_file="])
def test_flags_of_variables_without_a_value_are_told(run, flag):
    code, _, err = run(lambda *_: None, "--gin_file=a", flag)
    assert (code, err) == (2, f"train.py: {flag}: it is empty; give a value, or leave it out\n")


def test_every_flag_for_a_path_is_expanded():
    """Flags of the doors whose help speaks of files and folders."""
    for door in ("train", "eval", "export", "predict", "benchmark", "check_data"):
        text = (ROOT / f"{door}.py").read_text()
        text += (ROOT / "mosaic" / "cli" / "flags.py").read_text()
        found = re.findall(r'DEFINE_(?:multi_)?string\(\s*"(\w+)"', text)
        assert set(found) - {"size", "split", "tile"} <= set(cli.PATH_FLAGS)
