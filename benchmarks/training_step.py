"""Training steps: time of ours and of the Model Garden's task.train_step, in turns.

python benchmarks/training_step.py --output=OUT

The same network (the 77.24 configuration, random weights), the same drawn scenes, batch and
optimizer, on the CPU. Each is a compiled step as its own trainer makes it: ours is exact
(`runtime.exact_graph`), the Garden's is rewritten by TensorFlow's graph optimizer. `Garden` is its
published recipe: batch norm that replicas share (`use_sync_bn`), which TensorFlow has no fused
kernel for, and the training mIoU. The other two leave out one of the two, then both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tf_keras
from official.vision.configs import semantic_segmentation as garden_config
from official.vision.tasks.semantic_segmentation import SemanticSegmentationTask

import common
from data.street_scenes import drawing
from mosaic import cli, config
from mosaic.distribution.runtime import runtime
from mosaic.training import dry_run

REWRITTEN = {"disable_meta_optimizer": False}


def our_step(images: tf.Tensor, labels: tf.Tensor) -> Callable[[], tf.Tensor]:
    """Returns a training step of `mosaic_cityscapes` as train.py runs it."""
    given = [f"CROP_SIZE = {tuple(images.shape[1:3])}", f"BATCH_SIZE = {images.shape[0]}"]
    cli.configure([config.find("mosaic_cityscapes")], given, None, cli.NO_FILES)
    runtime()
    task = dry_run.task_without_data(config.build("train.model"))
    optimizer = tf_keras.optimizers.legacy.SGD(0.01, momentum=0.9)

    @tf.function
    def step():
        return task.train_step((images, labels), task.model, optimizer)[task.loss]

    step()
    return step


def garden_step(
    images: tf.Tensor, labels: tf.Tensor, is_shared: bool, with_iou: bool
) -> Callable[[], tf.Tensor]:
    """Returns a training step of the same network by the Garden's task.

    Args:
      images: uint8 [batch, height, width, 3].
      labels: class indices [batch, height, width].
      is_shared: whether batch norm is of the kind that replicas share.
      with_iou: whether the training mIoU is counted.
    """
    model = config.build("train.model")
    task = SemanticSegmentationTask(
        garden_config.SemanticSegmentationTask(
            model=garden_config.SemanticSegmentationModel(num_classes=model.output_shape[-1])
        )
    )
    metrics = task.build_metrics(training=True) if with_iou else None
    optimizer = tf_keras.optimizers.legacy.SGD(0.01, momentum=0.9)
    # The Garden's batches are normalised already; this network normalises by itself.
    normalized = model.get_layer("normalize").output
    body = tf_keras.Model(normalized, model.output)
    if is_shared:
        body = tf_keras.models.clone_model(body, clone_function=with_shared_norm)
    pixels = tf_keras.Model(model.input, normalized)(images)
    masks = tf.cast(labels, tf.float32)[..., tf.newaxis]
    truth = {"masks": masks, "valid_masks": tf.not_equal(masks, 255)}
    truth["image_info"] = tf.ones([images.shape[0], 4, 2])

    @tf.function
    def step():
        return task.train_step((pixels, truth), body, optimizer, metrics)[task.loss]

    tf.config.optimizer.set_experimental_options(REWRITTEN)
    step()
    return step


def with_shared_norm(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """Returns a new layer of the same settings, with statistics of all replicas in batch norm."""
    settings = layer.get_config()
    if isinstance(layer, tf_keras.layers.BatchNormalization):
        return tf_keras.layers.BatchNormalization(**settings, synchronized=True)
    return type(layer).from_config(settings)


def seconds(steps: Mapping[str, Callable[[], tf.Tensor]], turns: int) -> dict[str, list[float]]:
    """Returns the seconds of each turn of each step."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(turns + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            float(step())
            if number:  # the first turn is a warm-up
                found[name].append(time.perf_counter() - start)
    return found


def main() -> None:
    """Measures."""
    parser = common.parser(__doc__, turns=15)
    parser.add_argument("--height", type=int, default=352)
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--batch_size", type=int, default=8)
    values = parser.parse_args()
    scenes = [
        drawing.draw_scene(index, values.height, values.width) for index in range(values.batch_size)
    ]
    images, labels = (tf.constant(np.stack(part)) for part in zip(*scenes))
    steps = {
        "ours": our_step(images, labels),
        "Garden": garden_step(images, labels, is_shared=True, with_iou=True),
        "Garden, no mIoU": garden_step(images, labels, is_shared=True, with_iou=False),
        "Garden, one replica": garden_step(images, labels, is_shared=False, with_iou=False),
    }
    found = {name: common.spread(times) for name, times in seconds(steps, values.turns).items()}
    for name, times in found.items():
        print(f"{name:20} {times['median']:.3f} s ({times['least']:.3f} to {times['most']:.3f})")
    ratio = found["ours"]["median"] / found["Garden"]["median"]
    print(f"ratio                {ratio:.3f}")
    common.save(values, seconds=found, ratio=ratio)


if __name__ == "__main__":
    main()
