"""Standard error while libraries write to it."""

import os
import subprocess
import sys
import threading

from mosaic.utils.quiet import heard, quiet


def test_two_threads_leave_standard_error_as_it_was():
    """Each ends while the other has it: the second must not restore what the first led away."""
    before = os.fstat(2)

    def hide(context):
        for _ in range(200):
            with context():
                pass

    threads = [threading.Thread(target=hide, args=(kind,)) for kind in (quiet, heard)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = os.fstat(2)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


def test_what_is_printed_meanwhile_comes_out():
    code = (
        "import os, sys\n"
        "from mosaic.utils.quiet import heard\n"
        "with heard() as lines:\n"
        "    os.write(2, b'of a library')\n"
        "    print('of this project', file=sys.stderr)\n"
        "assert lines == ['of a library'], lines\n"
        "print('afterwards', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "of this project\nafterwards\n")
