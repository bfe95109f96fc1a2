"""What a command line lacks, asked for all at once."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic.cli.flags import Values
from mosaic.utils.errors import UserError

# What stands for a flag's value.
_WRITTEN = {
    **{"gin_file": "EXPERIMENT", "model": "MODEL", "checkpoint": "PATH", "images": "PATH"},
    **{"model_dir": "DIR", "output_dir": "DIR", "export_dir": "DIR"},
}


def lacking(values: Values, *names: str) -> list[str]:
    """Returns those of a command's flags that have no value, as one writes them."""
    return [f"--{name}={_WRITTEN[name]}" for name in names if not getattr(values, name)]


def lacking_model(values: Values, *names: str) -> list[str]:
    """Returns what is missing of the flags that name a checkpoint; a run's folder has them all.

    Args:
      values: flags of the command.
      names: flags that --model_dir makes needless.
    """
    needed = lacking(values, *names)
    if values.model_dir or not needed:
        return []
    told = " ".join(needed)
    is_whole = needed == [f"--output_dir={_WRITTEN['output_dir']}"]
    return [told if is_whole else f"{told} (or --model_dir=DIR)"]


def takes_photographs(values: Values) -> bool:
    """Returns whether photographs serve a command as well as its data set: not where it scores."""
    return "images" in values and not getattr(values, "evaluate", False)


def check_complete(
    values: Values,
    bindings: Sequence[str],
    needed: Sequence[str],
    unneeded: Sequence[str] = (),
) -> None:
    """Checks that a command has its flags; where one lacks, required macros are asked for too.

    Args:
      values: flags of the command.
      bindings: bindings of the command line.
      needed: the flags that are missing, as `lacking` returns them.
      unneeded: required macros that the command does not need.

    Raises:
      UserError: a flag is missing; or a file of --gin_file is, which is told first.
    """
    from mosaic import config

    named = values.gin_file if "gin_file" in values else ()
    files = [config.find(name) for name in named]
    if not needed:
        return
    unset = [name for name in config.missing(files, bindings) if name not in unneeded]
    if getattr(values, "data_dir", None):
        unset = [name for name in unset if name != "DATA_DIR"]
    told = "give " + " and ".join(needed)
    if unset:
        told += f"; and for {named[-1]} {config.as_flags(unset)}"
        if "DATA_DIR" in unset and takes_photographs(values):
            told += " (or --images=FOLDER)"
        told += config.note_of_deduced(files, bindings)
    raise UserError(told)
