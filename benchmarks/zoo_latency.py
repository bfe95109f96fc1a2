r"""Latency of the published networks as int8 files, for docs/model_zoo.md.

python benchmarks/zoo_latency.py files FOLDER
python benchmarks/zoo_latency.py time FOLDER

`files` writes an int8 file of each network of less than 60 B multiply-adds that is scored at one
scale, at the size at which it is scored, with labels as output; those that FOLDER has already stay.
Weights are random, on which latency does not depend. `time` measures those of FOLDER in turns, on a
quiet machine, and keeps the medians in docs/results/model_zoo.latency.json.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

import model_zoo
import numpy as np
import tf_keras

import common
import measurement_records
from measurement_records import DOCS, read
from mosaic.benchmark.latency import interleaved
from mosaic.evaluation import published
from mosaic.export import tflite
from mosaic.export.tolerances import Limit
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError
from mosaic.utils.provenance import command, provenance

RECORD = f"{model_zoo.RECORD}.latency"
THREADS = 2
# Multiply-adds above which a file takes seconds, and gets few rounds; and more than any phone does.
_SLOW, _MOST = 20e9, 60e9


def costs(docs: pathlib.Path = DOCS) -> dict[str, float]:
    """Multiply-adds of the published networks that are timed, by the result's key.

    Those of results that are scored at one scale, have a network of their own, and less than 60 B.
    """
    counted = read(docs)[model_zoo.RECORD]["networks"]
    return {
        key: counted[key]["multiply_adds"]
        for key in published.results()
        if not key.endswith(("_multiscale", "_qat")) and counted[key]["multiply_adds"] < _MOST
    }


def write(key: str, path: pathlib.Path) -> None:
    """Writes a published network with random weights as an int8 file."""
    tf_keras.utils.set_random_seed(0)
    model, _ = model_zoo.build(key)
    size = tuple(published.result(key)["settings"]["input_size"])
    noise = [np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)]
    # Random weights give no classes that an 8-bit file could keep.
    options = tflite.TFLiteOptions(size, "labels", "int8", limit=Limit(None, 0.0))
    tflite.write(model, noise, str(path), options, representative=lambda: noise)


def measure(paths: Sequence[pathlib.Path], runs: int, warmup: int) -> dict[str, float]:
    """Median latency of files in milliseconds, by their names."""
    predictors = [TFLitePredictor(TFLiteModel.open(path), threads=THREADS) for path in paths]
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    found = interleaved(predictors, [noise], (512, 512), runs, warmup)
    return {path.stem: latency.median for path, latency in zip(paths, found)}


def main(arguments: Sequence[str]) -> int:
    """Runs one of the two commands; returns the exit code."""
    parser = argparse.ArgumentParser("zoo_latency.py", description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=("files", "time"))
    parser.add_argument("folder", type=pathlib.Path, help="folder of the int8 files")
    values = parser.parse_args(arguments)
    return common.exit_code(lambda: _run(values.task, values.folder))


def _run(task: str, folder: pathlib.Path) -> None:
    found = costs()
    files = {key: folder / f"{key}.tflite" for key in found}
    missing = [key for key, path in files.items() if not path.exists()]
    if task == "files":
        folder.mkdir(parents=True, exist_ok=True)
        for key in missing:
            write(key, files[key])
        return
    if missing:
        raise UserError(f"{folder}: {missing[0]}.tflite is not there; run `files` first")
    medians = {}
    for slow, runs, warmup in ((False, 20, 3), (True, 3, 1)):
        paths = [path for key, path in files.items() if (found[key] > _SLOW) == slow]
        medians |= measure(paths, runs, warmup)
    again = command().replace(str(folder), "FOLDER")
    record = {**provenance(again), "threads": THREADS, "milliseconds": medians}
    measurement_records.write(RECORD, record)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
