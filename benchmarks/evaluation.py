"""Evaluation at 1024x2048: images a second of ours and of the Model Garden's loop.

python benchmarks/evaluation.py --output=OUT

The same network (the 77.24 configuration, random weights), the same frames, from PNG to the
confusion matrix. The two take turns, and medians of their turns are compared.
"""

from __future__ import annotations

import pathlib
import tempfile
import time
from collections.abc import Callable

import frames
import numpy as np
import tensorflow as tf
import tf_keras
from official.vision.configs import semantic_segmentation as garden_config
from official.vision.tasks.semantic_segmentation import SemanticSegmentationTask

import common
from data.cityscapes import cityscapes
from mosaic.evaluation.evaluator import Origin, evaluate
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference.predictors import of_network
from mosaic.models import mosaic


def garden_turn(folder: pathlib.Path, model: tf_keras.Model) -> Callable[[], None]:
    """Returns a function that scores all frames by the Garden's task, as its trainer does."""
    data = garden_config.DataConfig(
        input_path=str(folder / "val.tfrecord"),
        output_size=list(frames.SIZE),
        global_batch_size=1,
        is_training=False,
        resize_eval_groundtruth=True,
        drop_remainder=False,
        dtype="float32",
    )
    task = SemanticSegmentationTask(
        garden_config.SemanticSegmentationTask(
            model=garden_config.SemanticSegmentationModel(num_classes=frames.CLASSES),
            train_data=data,
            validation_data=data,
        )
    )
    batches = task.build_inputs(data)
    metrics = task.build_metrics(training=False)
    # The Garden's batches are normalised already; this network normalises by itself.
    first = next(layer for layer in model.layers if layer.name == "normalize")
    body = tf_keras.Model(first.output, model.output)

    @tf.function
    def step(inputs):
        task.validation_step(inputs, body, metrics)

    kept = []

    def turn() -> None:
        task.iou_metric.reset_state()
        iterator = iter(batches)
        # Deleting it waits for its tuner, up to as long as the turn: this is not part of the loop.
        kept.append(iterator)
        for inputs in iterator:
            step(inputs)
        task.iou_metric.result()

    return turn


def our_turn(folder: pathlib.Path, model: tf_keras.Model, output: str) -> Callable[[], float]:
    """Returns a function that scores all frames as eval.py does and returns the loop's seconds.

    Pictures and page after the loop are not timed: the Garden writes none.
    """
    dataset, predictor = cityscapes(str(folder)), of_network(model)
    evaluation = Evaluation(
        protocol="cityscapes", batch_size=1, num_pictures=0, num_best_and_worst=0
    )
    return lambda: evaluate(predictor, dataset, evaluation, Origin("random"), output)["seconds"]


def main() -> None:
    """Measures."""
    parser = common.parser(__doc__, turns=3)
    parser.add_argument("--frames", type=int, default=40)
    values = parser.parse_args()
    model = mosaic.mosaic(frames.CLASSES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = frames.write(pathlib.Path(temporary) / "data", values.frames)
        turns = {
            "Garden": garden_turn(folder, model),
            "ours": our_turn(folder, model, str(pathlib.Path(temporary) / "out")),
        }
        pixels = tf.constant(np.zeros((1, *frames.SIZE, 3), np.float32))
        forward = tf.function(lambda images: model(images, training=False))
        turns["network alone"] = lambda: [forward(pixels) for _ in range(values.frames)]
        rates: dict[str, list[float]] = {name: [] for name in turns}
        for number in range(values.turns + 1):
            for name, turn in turns.items():
                start = time.perf_counter()
                seconds = turn()
                if not isinstance(seconds, float):
                    seconds = time.perf_counter() - start
                if number:  # the first turn is a warm-up
                    rates[name].append(values.frames / seconds)
    common.finish(rates, values)


if __name__ == "__main__":
    main()
