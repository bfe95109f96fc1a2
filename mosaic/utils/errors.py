"""Errors that a user can fix, apart from failures of the program."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable

# Beginning of the message of a graph that refuses images whose size it only gets when it runs.
TOO_SMALL = "the input is too small"
# Beginning of a message that a graph raises when it runs, and that is told without it.
REFUSED = "refused: "


class UserError(ValueError):
    """Something that the user can fix: a flag, a configuration, a file or the data.

    The message is one line that names the thing and the fix. Commands print it without a traceback
    and end with `exit_code`. Any exception that carries an `exit_code` attribute is treated the
    same way, so that `data/` needs no import from here.
    """

    exit_code = 2
    # AutoGraph and Keras would wrap the message in their own text, AutoGraph in a class of its own.
    # With these attributes they pass the error on unchanged.
    ag_pass_through = True
    _keras_call_info_injected = True


class RunError(RuntimeError):
    """A run that failed for a reason that fits one line, such as a loss that is not finite."""

    exit_code = 1


def check_regular(path: str | os.PathLike) -> None:
    """Checks that what would be read is no pipe and no device, which might never end.

    Raises:
      UserError: it is one. Files that are not there, and folders, are left to whoever reads them.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"{path}: a pipe or a device, which is not read; give a file")


def check_text(name: str | os.PathLike) -> None:
    """Checks that a name is one that libraries take, and not bytes of another encoding.

    Raises:
      UserError: it is not.
    """
    try:
        os.fspath(name).encode()
    except UnicodeEncodeError:
        raise UserError(f"{os.fsencode(name)}: the name is not UTF-8; rename it") from None


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Returns `; did you mean X?` with the candidate most similar to `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""
