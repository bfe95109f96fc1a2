"""Shared parts of all commands: flags, gin bindings, and errors as one line with an exit code.

Only light modules are imported here, so that `--help` and errors in flags appear at once.
"""

from __future__ import annotations

import ast
import errno
import math
import os
import pathlib
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence

from absl import flags

from mosaic.utils.errors import TOO_SMALL, UserError
from mosaic.utils.memory import BYTES_PER_PIXEL, check_fits
from mosaic.utils.model_format import format_of, is_there
from mosaic.utils.run_layout import CONFIG, default_checkpoint

Values = flags.FlagValues

# Flags that hold paths; in --scores=MODEL=REPORT both halves are paths.
_PATH_FLAGS = (
    *("gin_file", "model_dir", "data_dir", "checkpoint", "output_dir", "submission_dir"),
    *("compare", "export_dir", "model", "images", "label_map", "scores"),
)

# Required macros that are not needed by commands that do not train or read no data set.
NOT_TRAINING = ("INIT_CHECKPOINT",)
NO_DATA = (*NOT_TRAINING, "DATA_DIR", "LABEL_MAP", "CROP_SIZE")

_REFERENCE = re.compile(r"(?<!['\w])[@%][\w./]+(?:\(\))?")


def common_flags(*names: str) -> Values:
    """Returns flag values with those common flags that are named."""
    values = Values()
    # Flags may stand after other arguments.
    values.set_gnu_getopt(True)
    define = {
        "gin_file": lambda: flags.DEFINE_multi_string(
            "gin_file", [], "Experiment: a path or a name in configs/; repeatable.", values
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
            "Checkpoint: folder, file prefix or .tar.gz; or a .tflite file.",
            flag_values=values,
        ),
        "normalization": lambda: flags.DEFINE_enum(
            "normalization",
            None,
            ["imagenet", "symmetric", "none"],
            "What a .tflite file without normalisation inside expects.",
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


def split_bindings(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates `--gin.NAME=VALUE` from other arguments.

    Returns:
      (other arguments, bindings such as `NAME = 'VALUE'`). A value that is neither a Python literal
      nor a gin reference is read as a string, so that paths need no quotes.

    Raises:
      UserError: a binding without `=`.
    """
    rest, bindings = [], []
    for argument in arguments:
        if not argument.startswith(("--gin.", "-gin.")):
            rest.append(argument)
            continue
        name, equals, value = argument.split("gin.", 1)[1].partition("=")
        if not equals or not name:
            raise UserError(f"{argument}: write --gin.NAME=VALUE")
        bindings.append(f"{name} = {_literal(value)}")
    return rest, bindings


def _literal(value: str) -> str:
    """A value in gin's syntax: a literal or a reference unchanged, anything else as a string."""
    plain = _REFERENCE.sub("None", value)
    try:
        with warnings.catch_warnings():
            # Python warns of the backslashes and numbers in what may be a path.
            warnings.simplefilter("ignore")
            parsed = ast.literal_eval(plain)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return repr(value)
    if plain != value:
        return value
    # Python reads 0.5,2.0 as a tuple; gin needs the brackets. Nor can gin read what 1e999 is.
    return repr(value) if _is_infinite(parsed) else repr(parsed)


def _is_infinite(value) -> bool:
    return isinstance(value, float) and math.isinf(value)


def run(
    doc: str,
    values: Values,
    main: Callable,
    arguments: Sequence[str] | None = None,
    takes_more: bool = False,
) -> int:
    """Runs a command.

    Args:
      doc: help text of the command.
      values: flags of the command.
      main: function of the parsed flags and the gin bindings that does the work.
      arguments: arguments of the command line, without the program's name; `sys.argv`'s if None.
      takes_more: whether `main` also gets the arguments that belong to no flag.

    Returns:
      The exit code: 0 done, 1 failed while running, 2 an error that the user can fix.
    """
    program = pathlib.Path(sys.argv[0]).name
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        rest, bindings = split_bindings(arguments)
        try:
            extra = [_at_home(text, text) for text in values([program, *rest])[1:]]
        except flags.Error as error:
            raise UserError(f"{error} (see {program} --help)") from None
        debug = values.debug
        _expand(values)
        if values.help:
            print(f"{doc.strip()}\n\nflags:{_help(values)}\n  --gin.NAME=VALUE: set a gin macro.")
            return 0
        if extra and not takes_more:
            raise UserError(f"{extra[0]!r}: unexpected; flags begin with -- (see --help)")
        # TensorFlow's log (such as: no GPU found) does not help users; its errors are raised.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        main(values, bindings, *([extra] if takes_more else []))
        return 0
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - the last place where errors can be caught
        if debug:
            traceback.print_exc()
        code, line = explain(error)
        expected = code == 2 or hasattr(error, "exit_code")
        hint = "" if debug or expected else " (--debug shows where)"
        print(f"{program}: {line}{hint}", file=sys.stderr)
        return code


def _expand(values: Values) -> None:
    """Replaces ~ at the beginning of paths: the shell does not do it after `--flag=`."""
    for name in set(_PATH_FLAGS) & set(values):
        given, halves = values[name].value, "=" if name == "scores" else None
        if isinstance(given, str):
            values[name].value = _at_home(given, f"--{name}={given}")
        elif given:
            values[name].value = [
                "=".join(_at_home(part, f"--{name}={text}") for part in text.split(halves))
                if halves
                else _at_home(text, f"--{name}={text}")
                for text in given
            ]


def _at_home(path: str, given: str) -> str:
    """A path without ~; raises a UserError where it stands for nobody's folder."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~") and not os.path.exists(expanded):
        raise UserError(f"{given}: no such user's folder; for a name with ~ write ./{path}")
    return expanded


def _help(values: Values) -> str:
    lines = [""]
    for name in sorted(values):
        flag = values[name]
        if flag.name == name:
            lines.append(f"  --{name}: {flag.help}")
    return "\n".join(lines)


def explain(error: BaseException) -> tuple[int, str]:
    """Returns the exit code and the one-line message of an error."""
    # Gin adds to a message the configurable in which the error was raised.
    text = str(error)
    configured = "In call to configurable" in text
    line = " ".join(text.split("\n  In call to configurable")[0].split()) or type(error).__name__
    code = getattr(error, "exit_code", None)
    if "Exception encountered when calling layer" in line:
        parts = [part.strip() for part in text.split("\n") if part.strip()]
        line = parts[1] if len(parts) > 1 else line
    if code is not None:
        return code, line
    # What the input pipeline raises in its threads comes out as TensorFlow's error around it.
    if told := re.search(r"\bDataError: ([^\n]+)\nTraceback", text):
        return 2, told[1]
    if refused := re.search(rf"\[({TOO_SMALL}[^\]]*)\]", text):
        return 2, f"{refused[1]}; use larger images"
    if "Required bindings for" in text:
        from mosaic.config import explain as explain_gin

        return 2, explain_gin(error)
    if "No space left on device" in text or getattr(error, "errno", None) == errno.ENOSPC:
        return 2, f"the disk is full; free some space and run again ({line})"
    if isinstance(
        error, (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
    ):
        return 2, f"{error.filename}: {error.strerror}" if error.filename else line
    if configured and isinstance(error, (ValueError, TypeError)):
        return 2, f"configuration: {line}"
    return 1, f"{type(error).__name__}: {line}"


def experiment_files(values: Values, saved: bool = True) -> list[str]:
    """Returns the gin files of a command: those given, or the one that a run has saved.

    Raises:
      UserError: neither is given, or a file is missing, or the saved one imports code that is not
        this project's and --allow_code is not given.
    """
    from mosaic import config

    if values.gin_file:
        return [config.find(name) for name in values.gin_file]
    if saved and values.model_dir:
        path = os.path.join(values.model_dir, CONFIG)
        if not os.path.exists(path):
            raise UserError(f"{values.model_dir}: no {CONFIG} in it; is it a run's folder?")
        return [config.saved(path, allows_code(values))]
    raise UserError("give --gin_file=EXPERIMENT" + (" or --model_dir=DIR" if saved else ""))


def configure(
    files: Sequence[str],
    bindings: Sequence[str],
    data_dir: str | None,
    unneeded: Sequence[str] = (),
) -> None:
    """Checks and parses the configuration; imports what it configures.

    Args:
      files: paths of gin files.
      bindings: bindings from the command line.
      data_dir: value of the macro DATA_DIR, or None.
      unneeded: required macros that this command does not need.

    Raises:
      UserError: see `mosaic.config`; or `data_dir` is not a folder.
    """
    from mosaic import config

    bindings = list(bindings)
    if data_dir is not None:
        if not os.path.isdir(data_dir):
            raise UserError(f"--data_dir={data_dir}: no such folder")
        bindings.append(f"DATA_DIR = {os.path.abspath(data_dir)!r}")
    unset = config.missing(files, bindings, unneeded)
    bindings = [
        f"{name} = {config.UNKNOWN if name in NOT_TRAINING else None!r}" for name in unset
    ] + bindings
    config.check_macros(files, bindings)
    import tensorflow as tf
    from absl import logging

    import mosaic.training.train_loop  # noqa: F401 - registers the names that gin files bind

    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")
    config.parse(files, bindings, unset)


def model_and_files(values: Values) -> tuple[str, list[str]]:
    """Returns the model and the gin files of `predict.py`.

    Returns:
      (path of the model, gin files): the path of the best checkpoint for a run's folder; the files
      are those of --gin_file or the configuration that the run has saved, and none for a SavedModel
      or a .tflite file.

    Raises:
      UserError: there is nothing at the path, or a checkpoint without a configuration, or its
        configuration imports code that is not this project's and --allow_code is not given.
    """
    from mosaic import config

    path = values.model
    named = [config.find(name) for name in values.gin_file]
    saved = os.path.join(path, CONFIG)
    if os.path.isfile(saved):
        checkpoint = default_checkpoint(path)
        return checkpoint, named or [config.saved(saved, allows_code(values))]
    if not is_there(path):
        raise UserError(f"--model={path}: no such file or folder")
    if format_of(path) != "network":
        return path, []
    if named:
        return path, named
    folder = os.path.dirname(os.path.abspath(path))
    for candidate in (folder, os.path.dirname(folder)):
        saved = os.path.join(candidate, CONFIG)
        if os.path.isfile(saved):
            return path, [config.saved(saved, allows_code(values))]
    raise UserError(
        f"--model={path}: a checkpoint needs its experiment; give --gin_file=EXPERIMENT"
    )


def check_normalization(values: Values, path: str, as_network: bool = False) -> None:
    """Checks that --normalization is for a file that runs as it is.

    Raises:
      UserError: the model at the path is a checkpoint, or is loaded into a network.
    """
    if values.normalization and (as_network or format_of(path) == "network"):
        raise UserError(
            f"--normalization={values.normalization} is for .tflite files as they are; the network "
            f"that {path} is loaded into has its own: leave it out"
        )


def checkpoint_and_output(values: Values, subfolder: str = "") -> tuple[list[str], str, str]:
    """Returns the files and folders of a command that reads a checkpoint.

    Returns:
      (gin files, checkpoint, output folder); the run's own where only --model_dir is given.

    Raises:
      UserError: a flag or a file is missing.
    """
    files = experiment_files(values)
    if values.checkpoint is None and not values.model_dir:
        raise UserError("give --checkpoint=PATH or --model_dir=DIR")
    checkpoint = values.checkpoint or default_checkpoint(values.model_dir)
    if not is_there(checkpoint):
        raise UserError(f"--checkpoint={checkpoint}: no such file or folder")
    output_dir = getattr(values, "output_dir", None) if subfolder else None
    if not output_dir:
        if not values.model_dir and subfolder:
            raise UserError("give --output_dir=DIR, the folder for the report")
        output_dir = os.path.join(values.model_dir or "", subfolder)
    return files, checkpoint, output_dir


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Parses `HEIGHTxWIDTH`, in pixels.

    Raises:
      UserError: the text does not have that format, or the memory is too small for it.
    """
    if text is None:
        return None
    height, cross, width = text.partition("x")
    sides = [int(side) for side in (height, width) if cross and side.isdecimal()]
    if len(sides) < 2 or 0 in sides:
        raise UserError(f"--size={text}: write HEIGHTxWIDTH, such as 512x512")
    # Before anything asks for it.
    num_bytes = sides[0] * sides[1] * BYTES_PER_PIXEL
    check_fits(f"--size={text}", num_bytes, "take a smaller size")
    return sides[0], sides[1]
