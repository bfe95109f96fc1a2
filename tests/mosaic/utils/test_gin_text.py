"""Gin files as statements, and names that have changed since a file was written."""

import importlib
import os

import pytest

from mosaic.utils import gin_text
from mosaic.utils.errors import UserError
from mosaic.utils.gin_text import Macro, Reference

TEXT = """
# A comment with %COMMENT and include 'nothing'.
import mosaic.network as mosaic2
include 'models/mosaic.gin'
STEPS = %gin.REQUIRED
RATE = (0.1,
        %BASE)
train.model = @mosaic()
scope/train.loss = {"a": [@Loss, %WEIGHT]}
"""


def test_a_pipe_is_no_gin_file(tmp_path):
    os.mkfifo(tmp_path / "config.gin")
    with pytest.raises(UserError, match=r"config\.gin: a pipe or a device"):
        gin_text.read(tmp_path / "config.gin")


def test_macros_that_are_set():
    found = gin_text.macros_set(gin_text.statements(TEXT))
    assert found == {"STEPS": gin_text.REQUIRED, "RATE": (0.1, Macro("BASE"))}


def test_macros_that_are_used():
    assert gin_text.macros_used(gin_text.statements(TEXT)) == {"BASE", "WEIGHT"}


@pytest.mark.parametrize(
    "damaged",
    [b"\xff\xfe", b"STEPS = 3\0", b"train.steps = (1,", b"train.steps = = 2\n", b"a b c\n"],
)
def test_saved_bindings_of_a_damaged_file_are_refused(damaged, tmp_path):
    path = tmp_path / "config.gin"
    path.write_bytes(b"STEPS = 3\n")
    assert gin_text.saved_bindings(path) == {"STEPS": 3}
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"config\.gin: "):
        gin_text.saved_bindings(path)


def test_bindings():
    found = gin_text.bindings("STEPS = 3\na/b.c = @d()\n")
    assert found == {"STEPS": 3, "a/b.c": Reference("d", True)}


def test_values_are_written_as_gin_writes_them():
    assert repr((Macro("A"), Reference("b", True), Reference("c", False))) == "(%A, @b(), @c)"


@pytest.mark.parametrize("value", [Macro("A"), (1, Macro("A")), {"a": [Reference("b", True)]}])
def test_no_literal(value):
    assert not gin_text.is_literal(value)


@pytest.mark.parametrize("value", [1, "a", (1, [2.0]), {"a": None}])
def test_literals(value):
    assert gin_text.is_literal(value)


def test_includes_are_found_elsewhere():
    text = gin_text.including(TEXT, lambda name: f"/configs/{name}")
    assert "\ninclude '/configs/models/mosaic.gin'\n" in text
    assert "include 'nothing'" in text


def test_modules_have_todays_names():
    found = gin_text.current(TEXT)
    assert "import mosaic.models.mosaic as mosaic2\n" in found
    assert found.count("\n") == TEXT.count("\n")


@pytest.mark.parametrize("module", gin_text.MOVED_MODULES.values())
def test_todays_modules_are_there(module):
    assert importlib.util.find_spec(module)


@pytest.fixture
def renamed(monkeypatch):
    monkeypatch.setitem(gin_text.RENAMED_PARAMETERS, ("Some", "old"), "new")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Some.old = 'Some.old'", "Some.new = 'Some.old'"),
        ("scope/Some.old = 1", "scope/Some.new = 1"),
        ("module.Some.old = 1", "module.Some.new = 1"),
        ("Some:\n  old = 1\n  other = 2\n", "Some:\n  new = 1\n  other = 2\n"),
        ("Other.old = 1", "Other.old = 1"),
        ("Some.old_one = 1", "Some.old_one = 1"),
    ],
)
def test_parameters_have_todays_names(renamed, before, after):
    assert gin_text.current(before) == after


def test_what_is_no_gin_stays():
    assert gin_text.current("a = (1\nimport mosaic.network") == "a = (1\nimport mosaic.network"
