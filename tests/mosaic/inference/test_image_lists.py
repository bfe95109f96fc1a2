"""Lists of paths and patterns in the place of images."""

import io

import pytest
from pictures import half_red

from mosaic.inference.image_files import find
from mosaic.utils.errors import UserError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with images in two folders."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.png", "a/y.png", "b/x.png"):
        half_red(tmp_path / "photos" / name)
    return tmp_path


def _names(*paths):
    return [source.name for source in find(paths)]


def test_a_list_in_a_file(here):
    """In its order; names count from the folder that all have in common."""
    (here / "list.txt").write_text("photos/b/x.png\n\nphotos/a/x.png\r\n")
    assert _names("list.txt") == ["b/x", "a/x"]
    (here / "list.txt").write_text(f"{here}/photos/a/y.png\n")
    assert _names("list.txt") == ["y"]


def test_paths_in_a_list_may_count_from_its_folder(here):
    (here / "photos" / "list.txt").write_text("b/x.png\na\n")
    assert _names("photos/list.txt") == ["b/x", "a/x", "a/y"]


def test_a_list_from_standard_input(here, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("photos/a/y.png\nphotos/a/x.png\n"))
    assert _names("-") == ["y", "x"]


def test_patterns(here):
    assert _names("photos/*/x.png") == ["a/x", "b/x"]
    assert _names("photos/**/*.png") == ["a/x", "a/y", "b/x"]
    assert _names("photos/a/y.pn?", "photos/b") == ["y", "x"]


def test_a_name_that_looks_like_a_pattern(here):
    half_red(here / "a[1].png")
    assert _names("a[1].png") == ["a[1]"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photos/a/x.png\nphotos/c.png\n", "list.txt, line 2: photos/c.png: no such file"),
        ("\n", "list.txt: no path in it"),
        ("list.txt\n", "list.txt: no image or video"),
    ],
)
def test_what_a_list_cannot_name(here, text, message):
    (here / "list.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        find(["list.txt"])


def test_a_pattern_without_a_file(here):
    with pytest.raises(UserError, match=r"photos/\*\.tif: no file has a name of this pattern"):
        find(["photos/*.tif"])
