"""Evaluation at 1024x2048: images a second of ours and of the Model Garden's loop.

python benchmarks/evaluation.py --output=OUT

The same network (the 77.24 configuration, trained for some steps on three frames, so that its
classes are in pieces as those of a trained one are), the same frames, from PNG to the confusion
matrix. The two take turns, and medians of their turns are compared. Beside them what predict.py
does with the frames as files, and the network alone: in TensorFlow as it was built, in TensorFlow
as evaluation restructures it, and in TensorFlow Lite, with the fraction of pixels that get the
class that the network as it was built gives them. `mixed` is the fraction of the squares between
four neighbouring logits that have several classes; the fewer, the faster evaluation is.
"""

from __future__ import annotations

import os
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
from data.street_scenes import drawing
from mosaic.evaluation.evaluator import Origin, evaluate
from mosaic.evaluation.protocols import Evaluation
from mosaic.export.tflite import TFLiteOptions, write
from mosaic.inference import image_files, prediction_files
from mosaic.inference.interpreters import TFLiteInterpreter
from mosaic.inference.predictors import Predictor, of_network
from mosaic.models import mosaic
from mosaic.models.cellwise import are_mixed
from mosaic.models.resizing import predictions
from mosaic.utils.visualize import write_png


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


def predict_turn(folder: pathlib.Path, model: tf_keras.Model, count: int) -> Callable[[], object]:
    """Returns a function that segments all frames, written to `folder`, as predict.py does."""
    for index in range(count):
        image, _ = frames.draw("val", index)
        write_png(folder / f"{index}.png", image)
    sources, predictor = image_files.find([str(folder)]), of_network(model)
    return lambda: prediction_files.predict(predictor, sources, f"{folder}_out")


def network(frame: np.ndarray, steps: int) -> tf_keras.Model:
    """Returns a network that has learnt to tell large parts of frames apart."""
    tf_keras.utils.set_random_seed(0)
    model = mosaic.mosaic(frames.CLASSES, norm_momentum=0.0)
    optimizer = tf_keras.optimizers.legacy.Adam(2e-3)
    scenes = zip(*(drawing.draw_scene(seed, *frames.SIZE) for seed in range(3)))
    images, labels = (np.stack(part)[:, ::4, ::4] for part in scenes)
    images, labels = tf.constant(images, tf.float32), tf.constant(labels[:, ::4, ::4], tf.int32)
    known = labels < frames.CLASSES

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = model(images, training=True)[known]
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels[known], logits)
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    repeat(step, steps)
    model(tf.constant(frame[np.newaxis, ::2, ::2], tf.float32), training=True)
    return model


def mixed(predictor: Predictor) -> float:
    """The mean fraction of squares between neighbouring logits that have several classes."""
    shares = []
    for index in range(5):
        frame, _ = frames.draw("val", index)
        best = tf.argmax(predictor.run(tf.constant(frame[np.newaxis])), -1)
        shares.append(np.mean(are_mixed(best)))
    return float(np.mean(shares))


def alone(
    model: tf_keras.Model, frame: np.ndarray, path: str
) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """Returns functions that compute logits of a frame, by name, and figures of their answers.

    Args:
      model: network.
      frame: uint8 [*frames.SIZE, 3].
      path: path of a TFLite file to write.
    """
    pixels = tf.constant(frame[np.newaxis])
    forward = tf.function(lambda images: model(tf.cast(images, tf.float32), training=False))
    predictor = of_network(model)
    write(model, [frame], path, TFLiteOptions(frames.SIZE, "logits_stride4"))
    interpreter = TFLiteInterpreter(path, os.cpu_count())
    interpreter.feed(frame[np.newaxis].astype(np.float32))
    interpreter.invoke()
    expected = predictions(forward(pixels), frames.SIZE)

    def equal(logits) -> float:
        return float(np.mean(predictions(tf.constant(logits), frames.SIZE) == expected))

    return {
        "network alone": lambda: forward(pixels),
        "restructured": lambda: predictor.run(pixels),
        "TensorFlow Lite": interpreter.invoke,
    }, {
        "restructured_equal": float(np.mean(predictor(pixels) == expected)),
        "tensorflow_lite_equal": equal(interpreter.output()),
        "mixed": mixed(predictor),
    }


def repeat(compute: Callable[[], object], times: int) -> None:
    """Calls a function several times."""
    for _ in range(times):
        compute()


def main() -> None:
    """Measures."""
    parser = common.parser(__doc__, turns=3)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--steps", type=int, default=100)
    values = parser.parse_args()
    frame, _ = drawing.draw_scene(0, *frames.SIZE)
    model = network(frame, values.steps)
    with tempfile.TemporaryDirectory() as temporary:
        path = pathlib.Path(temporary)
        folder = frames.write(path / "data", values.frames)
        turns = {
            "Garden": garden_turn(folder, model),
            "ours": our_turn(folder, model, str(path / "out")),
            "predict.py": predict_turn(path / "images", model, values.frames),
        }
        engines, equal = alone(model, frame, str(path / "network.tflite"))
        for name, compute in engines.items():
            turns[name] = lambda compute=compute: repeat(compute, values.frames)
        rates: dict[str, list[float]] = {name: [] for name in turns}
        for number in range(values.turns + 1):
            for name, turn in turns.items():
                start = time.perf_counter()
                taken = turn()
                seconds = taken if name == "ours" else time.perf_counter() - start
                if number:  # the first turn is a warm-up
                    rates[name].append(values.frames / seconds)
    common.finish(rates, values, **equal)


if __name__ == "__main__":
    main()
