"""What configs/ holds, for the help text and for messages."""

from __future__ import annotations

import difflib
import pathlib
import re
from collections.abc import Sequence

from mosaic.cli.flags import Values, as_written
from mosaic.config import CONFIGS, settings_called
from mosaic.utils.habits import meant_flag, meant_settings, remark

# Width of a line about an experiment.
_WIDTH = 95
# Number of settings that a message names.
_MOST = 3
# Likeness from which on a flag may be a misspelt macro.
_ALIKE = 0.8
# Parameters that gin refuses to set.
_NO_SETTINGS = ("train.model_dir",)


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


def suggested(flag: str, arguments: Sequence[str], known: Values, takes_gin: bool) -> str:
    """Returns a message for an unknown flag with what it is called here; empty if nothing is alike.

    Args:
      flag: name of the flag, such as `learning_rate`, `patience`, `train.patience` or `epochs`.
      arguments: arguments of the command, whose --gin_file may hold further macros.
      known: flags of the command.
      takes_gin: whether the command reads a configuration.
    """
    name = flag.replace("-", "_")
    if name in known:
        return ""  # absl names a flag that is only written otherwise
    macros = _macros(arguments) if takes_gin else set()
    if name.upper() in macros:
        return f"--{flag}: no such flag; it is a macro: write --gin.{name.upper()}=VALUE"
    if meant := meant_flag(name.lower(), known):
        return f"--{flag}: no such flag; write {as_written(meant, known)}"
    if not takes_gin:
        return ""
    settings = meant_settings(name.lower())
    settings = settings or [x for x in settings_called(name) if x not in _NO_SETTINGS]
    if settings:
        told = [f"--gin.{setting}=VALUE" for setting in settings]
        told = [*told[:_MOST], *(["..."] if len(told) > _MOST else [])]
        return f"--{flag}: no such flag; it is a setting: write {' or '.join(told)}{remark(name)}"
    if alike := difflib.get_close_matches(name.upper(), macros, n=1, cutoff=_ALIKE):
        return f"--{flag}: no such flag; if it is a macro, write --gin.{alike[0]}=VALUE"
    return ""


def _macros(arguments: Sequence[str]) -> set[str]:
    """The macros in capitals of configs/ and of the gin files among the arguments."""
    own = [text.partition("=")[2] for text in arguments if text.lstrip("-").startswith("gin_file=")]
    known = set()
    for path in (*CONFIGS.rglob("*.gin"), *(p for p in map(pathlib.Path, own) if p.is_file())):
        text = path.read_text(encoding="utf-8", errors="replace")
        known.update(re.findall(r"^([A-Z][A-Z0-9_]*) *=", text, re.MULTILINE))
    return known
