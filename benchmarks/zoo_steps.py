r"""The published networks after ten training steps, and whether their int8 files keep the classes.

python benchmarks/zoo_steps.py zoo_mnv2_pascal zoo_edgetpu_cityscapes
python benchmarks/zoo_steps.py deeplabv3_257=user_deeplab_dm05_513_uint8.tflite

Trains each experiment's network on drawn street scenes, from scratch or from a checkpoint, writes
an int8 file with labels as output, and keeps what it finds in docs/results/model_zoo.steps.json,
beside what is there of others. Batch norm's moving averages, which the recipes spread over
thousands of steps, are given a momentum of 0.5: else they are still at their start after ten, and
every network answers one class everywhere.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
from collections.abc import Sequence

import gin
import model_zoo
import numpy as np

import common
import measurement_records
from measurement_records import DOCS, read
from mosaic import config
from mosaic.checkpoints import asked_settings
from mosaic.distribution.runtime import runtime
from mosaic.experiment import load_experiment
from mosaic.export import tflite
from mosaic.export.tolerances import Limit
from mosaic.inference import predictors
from mosaic.training import train_loop
from mosaic.utils.provenance import provenance
from mosaic.utils.run_layout import default_checkpoint

RECORD = f"{model_zoo.RECORD}.steps"
STEPS, SIZE = 10, (129, 257)
_IMAGES, _TRAINING_IMAGES, _MOMENTUM = 8, 40, 0.5
_SETTINGS = {
    **{"IMAGE_SIZE": SIZE, "CROP_SIZE": SIZE, "SCALE": (1.0, 1.0)},
    **{"NUM_TRAIN": _TRAINING_IMAGES, "NUM_VAL": _IMAGES, "BATCH_SIZE": 4, "TRAIN_STEPS": STEPS},
    **{"EVAL_INTERVAL": STEPS, "WARMUP_STEPS": 0, "LEARNING_RATE": 0.02, "WEIGHT_DECAY": 4e-5},
    **{"CrossEntropy.class_weights": None, "Evaluation.published": None},
    **{"Evaluation.protocol": "plain", "Evaluation.padded_size": None},
    **{"Evaluation.scales": (1.0,), "Evaluation.flip": False, "Evaluation.num_pictures": 0},
}


def configure(experiment: str, start: str | None) -> None:
    """Configures the few steps of an experiment's network, from a checkpoint or from scratch."""
    files = [config.find(experiment), config.find("datasets/street_scenes")]
    settings = {**_SETTINGS, "INIT_CHECKPOINT": start, "train.init_prefixes": ("",)}
    gin.clear_config()
    bindings = [f"{name} = {value!r}" for name, value in settings.items()]
    config.parse(files, bindings)
    network = gin.query_parameter(config.network()).selector
    with gin.unlock_config():
        for name in config.parameters(network):
            if name.endswith("norm_momentum"):
                gin.bind_parameter(f"{network}.{name}", _MOMENTUM)


def measure(experiment: str, start: str | None = None) -> dict:
    """Trains a network and writes its int8 file.

    Returns:
      `classes`, the number of classes that the network answers on the validation images;
      `largest_share`, the share of the pixels that the most frequent of them has; and `equal`, the
      share of the pixels in which the int8 file has the network's class.
    """
    configure(experiment, start)
    with tempfile.TemporaryDirectory() as folder:
        asked_settings.take_for_run(folder)
        with runtime().scope():
            train_loop.train(folder)
        model, dataset, evaluation, _ = load_experiment(default_checkpoint(folder))
        images = [dataset.example(evaluation.split, index)[0] for index in range(_IMAGES)]
        found = tflite.write(
            model,
            images,
            f"{folder}/int8.tflite",
            tflite.TFLiteOptions(SIZE, "labels", "int8", limit=Limit(None, 0.0)),
            lambda: (dataset.example("train", index)[0] for index in range(_TRAINING_IMAGES)),
        )
        answers = predictors.of_network(model)(np.stack(images)).numpy()
    counts = np.bincount(answers.ravel())
    return {
        "classes": int(np.count_nonzero(counts)),
        "largest_share": float(np.max(counts) / answers.size),
        "equal": found.equal,
    }


def main(arguments: Sequence[str]) -> int:
    """Measures what is named; returns the exit code."""
    parser = argparse.ArgumentParser("zoo_steps.py", description=__doc__.split("\n")[0])
    parser.add_argument("networks", nargs="+", help="EXPERIMENT, or EXPERIMENT=CHECKPOINT")
    return common.exit_code(lambda: _measure_all(parser.parse_args(arguments).networks))


def _measure_all(names: Sequence[str], docs: pathlib.Path = DOCS) -> None:
    networks = read(docs).get(RECORD, {}).get("networks", {})
    for name in names:
        experiment, _, start = name.partition("=")
        key = f"{experiment}={pathlib.Path(start).name}" if start else experiment
        networks[key] = measure(experiment, start or None)
        again = f"python benchmarks/zoo_steps.py {' '.join(networks)}"
        record = {**provenance(again), "steps": STEPS, "size": SIZE, "images": _IMAGES}
        measurement_records.write(RECORD, {**record, "networks": networks}, docs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
