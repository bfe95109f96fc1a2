"""Commands run: errors as one line with an exit code."""

from __future__ import annotations

import errno
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable, Collection, Sequence

from absl import flags

from mosaic.cli.bindings import split_bindings
from mosaic.cli.experiments import experiments, suggested
from mosaic.cli.flags import Values, at_home, expand, help_text
from mosaic.cli.remote import Places
from mosaic.utils.errors import REFUSED, TOO_SMALL, UserError, check_text
from mosaic.utils.pipes import reader_is_gone

# What is wrong with a path or its file system, which its user can mend.
_OF_PLACES = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
    *(errno.ENAMETOOLONG, errno.EROFS, errno.EEXIST, errno.EFBIG, errno.EDQUOT, errno.ETXTBSY),
)

_ENLARGE = "predict.py --size=HEIGHTxWIDTH, eval.py --gin.Evaluation.input_size=VALUE"


def run(
    doc: str,
    values: Values,
    main: Callable,
    arguments: Sequence[str] | None = None,
    takes_more: bool = False,
    takes_gin: bool = True,
    unused: Collection[str] = (),
) -> int:
    """Runs a command.

    Args:
      doc: help text of the command.
      values: flags of the command.
      main: function of the parsed flags and the gin bindings that does the work.
      arguments: arguments of the command line, without the program's name; `sys.argv`'s if None.
      takes_more: whether `main` also gets the arguments that belong to no flag.
      takes_gin: whether the command reads a configuration; without, bindings are refused.
      unused: macros, parameters and configurables that do nothing in this command, so that no
        message names them.

    Returns:
      The exit code: 0 done, 1 failed while running, 2 an error that the user can fix.
    """
    program = pathlib.Path(sys.argv[0]).name
    arguments = sys.argv[1:] if arguments is None else arguments
    debug, places, done = "--debug" in arguments, Places(), False
    try:
        for argument in arguments:
            check_text(argument)
        rest, bindings = split_bindings(arguments)
        try:
            extra = [at_home(text, text) for text in values([program, *rest])[1:]]
        except flags.UnrecognizedFlagError as error:
            # absl names the nearest of the command's own flags by itself.
            meant = suggested(error.flagname, rest, values, takes_gin, takes_more, unused)
            raise UserError(f"{meant or error} (see {program} --help)") from None
        except flags.Error as error:
            told = re.sub(r"invalid literal for int\(\).*", "it must be a whole number", str(error))
            raise UserError(f"{told} (see {program} --help)") from None
        debug = values.debug
        expand(values)
        if values.help:
            done = True
            print(_help(doc, values, program, takes_gin), flush=True)
            return 0
        if bindings and not takes_gin:
            raise UserError(f"{program} reads no configuration; leave out --gin")
        if extra and not takes_more:
            raise UserError(f"{extra[0]!r}: unexpected; flags begin with -- (see --help)")
        # TensorFlow's log (such as: no GPU found) does not help users; its errors are raised.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with places.at_hand(values, extra) as extra:
            main(values, bindings, *([extra] if takes_more else []))
        done = True
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - the last place where errors can be caught
        if isinstance(error, BrokenPipeError) and reader_is_gone():
            return 0 if done else 1
        if debug:
            traceback.print_exc()
        code, line = explain(error)
        line = places.told(line)
        expected = code == 2 or hasattr(error, "exit_code")
        hint = "" if debug or expected else " (--debug shows where)"
        for detail in getattr(error, "details", ()):
            print(places.told(detail), file=sys.stderr)
        print(f"{program}: {line}{hint}", file=sys.stderr)
        return code


def _help(doc: str, values: Values, program: str, takes_gin: bool) -> str:
    """The help of a command: what it does, its flags, and the experiments that it takes."""
    text = f"{doc.strip()}\n\nflags:\n{help_text(values)}"
    if takes_gin:
        text += "\n  --gin.NAME=VALUE: Sets a macro of the experiment, or a parameter."
    if "gin_file" in values:
        # Some only score what was trained elsewhere.
        known = experiments("python train.py" if "train" in program else "")
        text += "\n\nexperiments:\n" + "\n".join(f"  {k}: {v}" for k, v in known.items())
    # The console command's users have no such files.
    return text if program.endswith(".py") else re.sub(r"python \w+\.py", program, text)


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
    if "in user code:" in text:
        # AutoGraph lists the places in code first, and Keras what a layer got last.
        parts = re.split(r"\n *(?:Call arguments received|In call to configurable)", text)[0]
        line = parts.strip().rpartition("\n")[2].strip()
    if code is not None:
        return code, line
    # What the input pipeline raises in its threads comes out as TensorFlow's error around it.
    if told := re.search(r"\bDataError: ([^\n]+)\nTraceback", text):
        return 2, told[1]
    if refused := re.search(rf"\[({TOO_SMALL}[^\]]*)\]", text):
        return 2, f"{refused[1]}; use larger images, or enlarge them ({_ENLARGE})"
    if refused := re.search(rf"\[{REFUSED}([^\]]*)\]", text):
        return 2, refused[1]
    if "Required bindings for" in text or "No values supplied by Gin" in text:
        from mosaic.config import explain as explain_gin

        return 2, explain_gin(error)
    if "No space left on device" in text or getattr(error, "errno", None) == errno.ENOSPC:
        return 2, f"the disk is full; free some space and run again ({line})"
    # What gin raises again has its text alone.
    numbered = re.match(r"\[Errno (\d+)\]", text)
    number = int(numbered[1]) if numbered else getattr(error, "errno", None)
    if isinstance(error, OSError) and number in _OF_PLACES:
        return 2, f"{error.filename}: {error.strerror}" if error.filename else line
    if configured and isinstance(error, (ValueError, TypeError)):
        return 2, f"configuration: {line}"
    return 1, f"{type(error).__name__}: {line}"
