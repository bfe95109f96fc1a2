"""Peak memory of a model, measured in a process of its own.

Run as a program, this module is that process for TFLite files: `python -m
mosaic.benchmark.peak_memory FILE HEIGHT WIDTH THREADS` prints bytes. It does not import TensorFlow,
whose own memory would hide a file's; `mosaic.benchmark.peak_memory_saved_model` is the program for
SavedModels.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from mosaic.inference.interpreters import prepared
from mosaic.utils.errors import RunError
from mosaic.utils.model_format import format_of

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")
RUNS = 3


def measure(path: str, size: tuple[int, int], threads: int, allow_code: bool = False) -> int | None:
    """Measures how far a model raises the peak of resident memory above the interpreter's.

    This is the memory that loading it and running it three times adds to a process that has
    imported `ai_edge_litert`, or for a SavedModel TensorFlow: weights, buffers, and a kernel
    library's own copies of weights.

    Args:
      path: path of a TFLite file or a SavedModel folder.
      size: (height, width) of the black image that it runs on, in pixels.
      threads: number of threads of the computation.
      allow_code: whether a SavedModel may use files and run code, see `SavedModelPredictor`.

    Returns:
      Bytes, or None where the system does not report it: only Linux does, and not in every
      container.

    Raises:
      RunError: the process failed.
    """
    if not (_STATUS.exists() and os.access(_CLEAR, os.W_OK)):
        return None
    program, numbers = "mosaic.benchmark.peak_memory", [*size, threads]
    if format_of(path) != "tflite":
        program, numbers = f"{program}_saved_model", [*numbers, int(allow_code)]
    root = str(pathlib.Path(__file__).resolve().parents[2])
    folders = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    result = subprocess.run(
        [sys.executable, "-m", program, path, *map(str, numbers)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
    )
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        raise RunError(f"{path}: its memory could not be measured ({lines[-1]})")
    return int(result.stdout.split()[-1])


def resident(field: str) -> int:
    """Returns this process's memory in bytes: `VmRSS:` now, `VmHWM:` the peak since `reset`."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def reset() -> int:
    """Resets the peak, without that of the imports, and returns the memory in use, in bytes."""
    # Other counters (getrusage's too) keep the highest value since the process began.
    _CLEAR.write_text("5")
    return resident("VmRSS:")


def _tflite(path: str, height: int, width: int, threads: int) -> int:
    before = reset()
    interpreter = prepared(threads, (height, width), model_path=path)
    interpreter.tensor(interpreter.get_input_details()[0]["index"])()[:] = 0
    for _ in range(RUNS):
        interpreter.invoke()
    return resident("VmHWM:") - before


if __name__ == "__main__":
    print(_tflite(sys.argv[1], *map(int, sys.argv[2:])))
