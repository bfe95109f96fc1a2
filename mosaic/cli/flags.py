"""Flags that commands share, paths among them, and the help text."""

from __future__ import annotations

import os

from absl import flags

from mosaic.utils.errors import UserError

Values = flags.FlagValues

# Flags that hold paths; in --scores=MODEL=REPORT both halves are paths.
PATH_FLAGS = (
    *("gin_file", "model_dir", "data_dir", "checkpoint", "output_dir", "submission_dir"),
    *("compare", "export_dir", "model", "images", "label_map", "scores", "draft_label_map"),
)


def common_flags(*names: str) -> Values:
    """Returns flag values with those common flags that are named."""
    values = Values()
    # Flags may stand after other arguments.
    values.set_gnu_getopt(True)
    define = {
        "gin_file": lambda: flags.DEFINE_multi_string(
            "gin_file", [], "Experiment: a path or a name of those below; repeatable.", values
        ),
        "model_dir": lambda: flags.DEFINE_string(
            "model_dir", None, "Folder of the run.", flag_values=values
        ),
        "data_dir": lambda: flags.DEFINE_string(
            "data_dir", None, "Where the data set is (the macro DATA_DIR).", flag_values=values
        ),
        "checkpoint": lambda: flags.DEFINE_string(
            "checkpoint",
            None,
            "Checkpoint: folder, file prefix or .tar.gz; or a .tflite file. Default: the best of "
            "--model_dir.",
            flag_values=values,
        ),
        "normalization": lambda: flags.DEFINE_enum(
            "normalization",
            None,
            ["imagenet", "symmetric", "unit", "none"],
            "What a .tflite file or SavedModel without normalisation inside expects: ImageNet's "
            "mean and deviation, -1 to 1, 0 to 1, or 0 to 255.",
            flag_values=values,
        ),
        "allow_code": lambda: flags.DEFINE_bool(
            "allow_code",
            False,
            "Run code that a model from elsewhere brings along: modules that its config.gin "
            "imports, and operations of a SavedModel that use files or run Python.",
            flag_values=values,
        ),
    }
    for name in names:
        define[name]()
    flags.DEFINE_bool("debug", False, "Show the traceback of an error.", flag_values=values)
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    return values


def allows_code(values: Values) -> bool:
    """Whether --allow_code is given, to a command that has it."""
    return getattr(values, "allow_code", False)


def expand(values: Values) -> None:
    """Replaces ~ at the beginning of paths: the shell does not do it after `--flag=`.

    Raises:
      UserError: ~ stands for nobody's folder; or a flag is empty, as from a variable without value.
    """
    for name in values:
        given = values[name].value if values[name].present else None
        if given == "" or (isinstance(values[name], flags.MultiFlag) and "" in (given or ())):
            raise UserError(f"--{name}=: it is empty; give a value, or leave it out")
    for name in set(PATH_FLAGS) & set(values):
        given, halves = values[name].value, "=" if name == "scores" else None
        if isinstance(given, str):
            values[name].value = at_home(given, f"--{name}={given}")
        elif given:
            values[name].value = [
                "=".join(at_home(part, f"--{name}={text}") for part in text.split(halves))
                if halves
                else at_home(text, f"--{name}={text}")
                for text in given
            ]


def at_home(path: str, given: str) -> str:
    """A path without ~; raises a UserError where it stands for nobody's folder."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~") and not os.path.exists(expanded):
        raise UserError(f"{given}: no such user's folder; for a name with ~ write ./{path}")
    return expanded


def as_written(name: str, values: Values) -> str:
    """Returns a flag of a command as one writes it, with a value where it takes one."""
    return f"--{name}" if isinstance(values[name], flags.BooleanFlag) else f"--{name}=VALUE"


def help_text(values: Values) -> str:
    """Returns a line for each flag of a command, with its default where it has one."""
    names = sorted(name for name in values if values[name].name == name)
    last = ("debug", "help")
    lines = []
    for name in [*(n for n in names if n not in last), *(n for n in last if n in names)]:
        flag = values[name]
        # Neither an empty list, nor False of a switch, says more than that nothing was given.
        default = flag.default_as_str.strip("'") if flag.default else ""
        text = flag.help.partition(";\n")[0]  # absl adds how to repeat a flag
        lines.append(f"  --{name}: {text}" + (f" Default: {default}." if default else ""))
    return "\n".join(lines)
