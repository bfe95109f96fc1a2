"""The errors that a user can mend, told apart from failures of the program."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# How the message begins by which a graph refuses images whose size it learns only when it runs.
TOO_SMALL = "the input is too small"


class UserError(ValueError):
    """Something the user can mend: a flag, a configuration, a file or the data.

    The message is one line that names the thing and the mend. Commands print it without a
    traceback and end with `exit_code`. Any exception that carries an `exit_code` attribute is
    treated the same way, so that `data/` needs no import from here.
    """

    exit_code = 2
    # AutoGraph and Keras would put their own frames around the message, AutoGraph under a class of
    # its own. These are the marks by which they let an error pass as it is.
    ag_pass_through = True
    _keras_call_info_injected = True


class RunError(RuntimeError):
    """A run that failed for a reason that one line can tell, such as a loss that is not finite."""

    exit_code = 1


def check_positive(owner: str, **settings: float) -> None:
    """Checks settings that are at least 1.

    Args:
      owner: what gin knows them under, such as `train`.
      **settings: values by name.

    Raises:
      UserError: one is less; it is named.
    """
    for name, value in settings.items():
        if value < 1:
            raise UserError(f"{owner}.{name} = {value}: it must be at least 1")


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Returns `; did you mean X?` with the candidate most like `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""
