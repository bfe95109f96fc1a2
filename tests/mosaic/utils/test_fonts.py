"""Fonts for names in any script."""

import pytest

from mosaic.utils import fonts


def test_ascii_needs_no_font():
    assert fonts.drawable("a/b <i>& $x$") == ("a/b <i>& $x$", None)


@pytest.mark.parametrize("name", ["\u0434\u043e\u0440\u043e\u0433\u0430", "caf\u00e9"])
def test_a_font_that_has_all_letters_is_found(name):
    text, path = fonts.drawable(name)
    assert text == name
    assert {ord(letter) for letter in name} <= fonts._codes(path)


def test_without_a_font_a_name_is_escaped(monkeypatch):
    monkeypatch.setattr(fonts, "_font_with", lambda characters: None)
    assert fonts.drawable("a \u5efa") == (r"a \u5efa", None)


def test_a_line_break_is_escaped():
    assert fonts.drawable("a\nb") == (r"a\nb", None)


def test_a_font_without_letters_is_not_used():
    """U+10FFFD is for private use: only the font of last resort draws something for it."""
    assert fonts._font_with(frozenset("\U0010fffd")) is None
