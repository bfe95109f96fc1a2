"""What configs/ holds, for the help text and for messages."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

from mosaic.config import CONFIGS, settings_called

# Width of a line about an experiment.
_WIDTH = 95
# Number of settings that a message names.
_MOST = 3


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


def suggested_setting(flag: str, arguments: Sequence[str]) -> str:
    """Returns a message for an unknown flag that is meant as a setting; empty if it is none.

    Args:
      flag: name of the flag, such as `learning_rate`, `patience` or `train.patience`.
      arguments: arguments of the command, whose --gin_file may hold further macros.
    """
    name = flag.replace("-", "_")
    if name.upper() in _macros(arguments):
        return f"--{flag}: no such flag; it is a macro: write --gin.{name.upper()}=VALUE"
    if settings := [f"--gin.{setting}=VALUE" for setting in settings_called(name)]:
        told = " or ".join([*settings[:_MOST], *(["..."] if len(settings) > _MOST else [])])
        return f"--{flag}: no such flag; it is a setting: write {told}"
    return ""


def _macros(arguments: Sequence[str]) -> set[str]:
    """The macros in capitals of configs/ and of the gin files among the arguments."""
    own = [text.partition("=")[2] for text in arguments if text.lstrip("-").startswith("gin_file=")]
    known = set()
    for path in (*CONFIGS.rglob("*.gin"), *(p for p in map(pathlib.Path, own) if p.is_file())):
        text = path.read_text(encoding="utf-8", errors="replace")
        known.update(re.findall(r"^([A-Z][A-Z0-9_]*) *=", text, re.MULTILINE))
    return known
