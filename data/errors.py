"""The error for a data set that is wrong."""

from __future__ import annotations


class DataError(ValueError):
    """Something is wrong with the user's data; the message names the file and the fix.

    Commands recognise it by `exit_code` and print it as one line.
    """

    exit_code = 2
