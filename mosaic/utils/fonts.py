"""Fonts of the system for names in any script, and names that can be drawn where there is none."""

from __future__ import annotations

import functools

# Its glyphs are boxes with the name of a script.
_NO_LETTERS = "Last Resort"
_USUAL = "DejaVu Sans"


def drawable(name: str) -> tuple[str, str | None]:
    r"""Returns a name as it can be drawn, and the font for it.

    Args:
      name: name in any script.

    Returns:
      (text, path of a font file): the name itself, with None for ASCII, which all fonts have, or
      with a font of the system that has all of its characters. Without such a font the text is
      ASCII with the other characters as escapes, such as `\u5efa`.
    """
    if name.isascii() and name.isprintable():
        return name, None
    path = _font_with(frozenset(name)) if name.isprintable() else None
    return (name, path) if path else (name.encode("unicode_escape").decode(), None)


@functools.cache
def _font_with(characters: frozenset[str]) -> str | None:
    """The path of a scalable font with all characters, the usual one first; None without any."""
    from matplotlib import font_manager

    fonts = (f for f in font_manager.fontManager.ttflist if _NO_LETTERS not in f.name)
    # Upright and regular before others; the path, so that every run chooses alike.
    for font in sorted(
        fonts, key=lambda f: (f.name != _USUAL, f.style != "normal", f.weight != 400, f.fname)
    ):
        if {ord(character) for character in characters} <= _codes(font.fname):
            return font.fname
    return None


@functools.cache
def _codes(path: str) -> frozenset[int]:
    """The codes of a font's characters; none where it cannot be read or is made of pictures."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()
