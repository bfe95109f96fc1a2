"""The error that a wrong data set ends in."""

from __future__ import annotations


class DataError(ValueError):
    """Something is wrong with the user's data; the message names the file and the mend.

    Commands recognise it by `exit_code` and print it as one line.
    """

    exit_code = 2
