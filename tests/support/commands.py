"""Commands in processes of their own, as users run them."""

import pathlib
import subprocess
import sys

import mosaic

ROOT = pathlib.Path(mosaic.__file__).resolve().parent.parent


def command(*arguments, cwd):
    """Runs a command as a user does; its error output also lists every imported module."""
    return subprocess.run(
        [sys.executable, "-X", "importtime", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def errors(completed):
    """The error output without the list of imports, which must hold nothing heavy."""
    lines = completed.stderr.splitlines()
    imports = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    assert "absl.flags" in imports
    heavy = {"tensorflow", "tf_keras", "keras", "official", "tensorflow_datasets", "matplotlib"}
    assert not heavy & {name.split(".")[0] for name in imports}
    return [line for line in lines if not line.startswith("import time:")]
