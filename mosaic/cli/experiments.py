"""What configs/ holds, for the help text and for messages."""

from __future__ import annotations

import difflib
import pathlib
import re
from collections.abc import Collection, Sequence

from mosaic.cli.flags import Values, as_written
from mosaic.config import CONFIGS, settings_meant
from mosaic.utils.habits import is_known, means_file, meant_flag, remark

# Width of a line about an experiment.
_WIDTH = 95
# Number of settings that a message names.
_MOST = 3
# Likeness from which on a flag may be a misspelt flag or macro.
_ALIKE = 0.8
# Macros and configurables that do nothing in a command that does not train.
OF_TRAINING = (
    *("TRAIN_STEPS", "WARMUP_STEPS", "BATCH_SIZE", "LEARNING_RATE", "WEIGHT_DECAY"),
    *("INIT_CHECKPOINT", "train", "sgd", "adam", "adamw", "polynomial_decay", "cosine_decay"),
    *("linear_warmup", "CrossEntropy", "SoftJaccard", "SumOfLosses"),
)
# Parameters that other commands read too: what is trained and how it is scored, and the size at
# which predict.py gives images to the network.
_READ_BY_ALL = (
    *("train.model", "train.dataset", "train.evaluation", "Evaluation.input_size"),
    *("Evaluation.padded_size", "Evaluation.padding", "Evaluation.enlarged"),
)


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


def suggested(
    flag: str,
    arguments: Sequence[str],
    known: Values,
    takes_gin: bool,
    takes_more: bool = False,
    unused: Collection[str] = (),
) -> str:
    """Returns a message for an unknown flag with what it is called here; empty if absl shall tell.

    Args:
      flag: name of the flag, such as `learning_rate`, `patience`, `train.patience` or `epochs`.
      arguments: arguments of the command, whose --gin_file may hold further macros.
      known: flags of the command.
      takes_gin: whether the command reads a configuration.
      takes_more: whether the command takes arguments without a flag.
      unused: macros, parameters and configurables that do nothing in this command.
    """
    name = flag.replace("-", "_")
    small = name.lower()
    no_flag = f"--{flag}: no such flag"
    if name in known:
        return ""  # absl names a flag that is only written otherwise
    macros = _macros(arguments) if takes_gin else set()
    is_macro = name.upper() in macros
    if small in known:
        return f"{no_flag}; write {as_written(small, known)}"
    if is_macro and _is_used(name.upper(), unused):
        return f"{no_flag}; it is a macro: write --gin.{name.upper()}=VALUE"
    if meant := meant_flag(small, known):
        return f"{no_flag}; write {as_written(meant, known)}"
    if takes_more and "model" not in known and means_file(small):
        return f"{no_flag}; name the file without a flag"
    settings = settings_meant(name) if takes_gin else []
    if used := [setting for setting in settings if _is_used(setting, unused)]:
        told = [f"--gin.{setting}=VALUE" for setting in used]
        told = [*told[:_MOST], *(["..."] if len(told) > _MOST else [])]
        return f"{no_flag}; it is a setting: write {' or '.join(told)}{remark(name)}"
    if difflib.get_close_matches(small, list(known), n=1, cutoff=_ALIKE):
        return ""  # absl names it
    if is_macro or settings or is_known(small):
        return f"{no_flag}, and this command has nothing like it"
    could_be = [macro for macro in macros if _is_used(macro, unused)]
    if alike := difflib.get_close_matches(name.upper(), could_be, n=1, cutoff=_ALIKE):
        return f"{no_flag}; if it is a macro, write --gin.{alike[0]}=VALUE"
    return ""


def _is_used(setting: str, unused: Collection[str]) -> bool:
    """Whether a macro or a parameter does something in a command."""
    is_of_unused = setting.partition(".")[0] in unused and setting not in _READ_BY_ALL
    return not (is_of_unused or setting in unused)


def _macros(arguments: Sequence[str]) -> set[str]:
    """The macros in capitals of configs/ and of the gin files among the arguments."""
    own = [text.partition("=")[2] for text in arguments if text.lstrip("-").startswith("gin_file=")]
    known = set()
    for path in (*CONFIGS.rglob("*.gin"), *(p for p in map(pathlib.Path, own) if p.is_file())):
        text = path.read_text(encoding="utf-8", errors="replace")
        known.update(re.findall(r"^([A-Z][A-Z0-9_]*) *=", text, re.MULTILINE))
    return known
