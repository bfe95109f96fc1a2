"""The error for a data set that is wrong."""

from __future__ import annotations

import os
import stat


class DataError(ValueError):
    """Something is wrong with the user's data; the message names the file and the fix.

    Commands recognise it by `exit_code` and print it as one line.
    """

    exit_code = 2


def check_regular(path: str | os.PathLike) -> None:
    """Checks that what would be read is no pipe and no device, which might never end.

    Raises:
      DataError: it is one. Files that are not there, and folders, are left to whoever reads them.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path}: a pipe or a device, which is not read; give a file")
