"""What configs/ holds, for the help text and for messages."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

from mosaic.config import CONFIGS

# Width of a line about an experiment.
_WIDTH = 95


def experiments(command: str = "") -> dict[str, str]:
    """Returns one line about each experiment in configs/, by its name.

    Args:
      command: text that the head of an experiment's file must hold, such as `python train.py`.
    """
    found = {}
    for path in sorted(CONFIGS.glob("*.gin")):
        head = path.read_text(encoding="utf-8").partition("\n\n")[0]
        if command in head:
            lines = head.partition("\n#\n")[0].splitlines()
            text = " ".join(line.removeprefix("#").strip() for line in lines)
            found[path.stem] = _one_line(re.split(r"\.\s", text)[0].removesuffix("."))
    return found


def _one_line(sentence: str) -> str:
    """A sentence, or as many of its first parts as fit into a line."""
    if len(sentence) <= _WIDTH:
        return sentence
    cuts = [match.start() for match in re.finditer(r"[,:;] | \(", sentence[:_WIDTH])]
    return sentence[: cuts[-1]] if cuts else sentence[:_WIDTH]


def suggested_macro(flag: str, arguments: Sequence[str]) -> str:
    """Returns a message for an unknown flag that is meant as a macro; empty if it is none.

    Args:
      flag: name of the flag, such as `learning_rate`.
      arguments: arguments of the command, whose --gin_file may hold further macros.
    """
    own = [text.partition("=")[2] for text in arguments if text.lstrip("-").startswith("gin_file=")]
    paths = [*CONFIGS.rglob("*.gin"), *(p for p in map(pathlib.Path, own) if p.is_file())]
    known = set()
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")
        known.update(re.findall(r"^([A-Z][A-Z0-9_]*) *=", text, re.MULTILINE))
    name = flag.upper().replace("-", "_")
    if name not in known:
        return ""
    return f"--{flag}: no such flag; it is a macro: write --gin.{name}=VALUE"
