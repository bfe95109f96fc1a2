"""Peak memory of a SavedModel: the process that `mosaic.benchmark.peak_memory` starts for it.

`python -m mosaic.benchmark.peak_memory_saved_model FOLDER HEIGHT WIDTH THREADS ALLOW_CODE` prints
bytes.
"""

from __future__ import annotations

import sys

import tensorflow as tf

from mosaic.benchmark.latency import use_threads
from mosaic.benchmark.peak_memory import RUNS, reset, resident
from mosaic.inference.file_predictors import SavedModelPredictor


def run(path: str, height: int, width: int, threads: int, allow_code: int = 0) -> int:
    """Loads a SavedModel, runs it on a black image, and returns the rise of the peak, in bytes."""
    use_threads(threads)
    image = tf.zeros([1, height, width, 3], tf.uint8)
    before = reset()
    predictor = SavedModelPredictor(path, bool(allow_code))
    for _ in range(RUNS):
        predictor.run(image)
    return resident("VmHWM:") - before


if __name__ == "__main__":
    print(run(sys.argv[1], *map(int, sys.argv[2:])))
