"""Standard output whose reader has gone, as `head` goes when it has seen enough."""

from __future__ import annotations

import os
import select
import sys


def reader_is_gone() -> bool:
    """Whether nobody reads standard output any more; what is left of it then goes nowhere.

    For use after a BrokenPipeError, which other connections may raise as well. Without it Python
    would write the rest when it ends, and tell of an error once more.
    """
    output = sys.stdout.fileno()
    poll = select.poll()
    poll.register(output, 0)
    is_gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if is_gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return is_gone
