"""Memory and time of training steps of the 77.24 configuration, by batch and by what is kept.

python benchmarks/memory.py --output=OUT

Each measurement is a process of its own. GiB an image is the slope over the number of images: of
the peak of what TensorFlow's allocator has given out (the BFC allocator, which GPUs have too), and
of the peak of the process's resident memory. `whole` keeps all outputs of layers and full-size
logits of the whole batch, `default` is what train.py does, `recompute` is train.recompute = True.
The losses of the first steps, from the same weights on the same drawn scenes, are compared with
those of `whole`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import types

# TensorFlow reads it when it is imported.
os.environ["TF_CPU_ALLOCATOR_USE_BFC"] = "true"

import numpy as np
import tensorflow as tf
import tf_keras

import common
from data.street_scenes import drawing
from mosaic import cli
from mosaic.distribution.runtime import runtime
from mosaic.models.mosaic import mosaic
from mosaic.training.losses import EPSILON, CrossEntropy
from mosaic.training.task import SegmentationTask

KINDS = ("whole", "default", "recompute")
CLASSES, IGNORED, STEPS = 19, 255, 3


def whole(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy by its definition, from full-size logits, averaged by image."""
    labels = tf.cast(labels, tf.int32)
    known = tf.where(labels == IGNORED, 0, labels)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(known, logits)
    valid = tf.cast(labels != IGNORED, tf.float32)
    sums, counts = (tf.reduce_sum(pixels, [1, 2]) for pixels in (losses * valid, valid))
    return tf.reduce_mean(sums / (counts + EPSILON))


def trained(kind: str, batch: int, size: tuple[int, int]) -> dict:
    """Returns `losses` of the first steps, the least `seconds` of one, and peaks of memory."""
    runtime()
    dataset = types.SimpleNamespace(
        name="drawn", num_classes=CLASSES, ignore_label=IGNORED, class_names=(), crop_size=size
    )
    loss = whole if kind == "whole" else CrossEntropy(normalization="image")
    model = mosaic(CLASSES, weight_decay=1e-4)
    task = SegmentationTask(model, dataset, loss, batch, seed=0, recompute=kind == "recompute")
    optimizer = tf_keras.optimizers.legacy.SGD(0.01, momentum=0.9)
    scenes = [drawing.draw_scene(index, *size) for index in range(batch)]
    inputs = tuple(tf.constant(np.stack(part)) for part in zip(*scenes))
    step = tf.function(lambda: task.train_step(inputs, model, optimizer)[task.loss])
    losses, seconds = [], []
    for _ in range(STEPS):
        start = time.perf_counter()
        losses.append(float(step()))
        seconds.append(time.perf_counter() - start)
    return {
        "losses": losses,
        "seconds": min(seconds),
        "allocated_gib": tf.config.experimental.get_memory_info("CPU:0")["peak"] / 2**30,
        "resident_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main() -> None:
    """Measures."""
    parser = common.parser(__doc__, turns=1)
    parser.add_argument("--size", default="1024x2048")
    parser.add_argument("--images", type=int, default=3, help="Largest batch.")
    parser.add_argument("--only", nargs=2, metavar=("KIND", "BATCH"), help="One measurement.")
    values = parser.parse_args()
    if values.only:
        kind, batch = values.only
        print(json.dumps(trained(kind, int(batch), cli.parse_size(values.size))))
        return
    batches = range(1, values.images + 1)
    found = {kind: {batch: [] for batch in batches} for kind in KINDS}
    for _ in range(values.turns):
        for batch in batches:
            for kind in KINDS:
                words = [f"--size={values.size}", "--only", kind, str(batch)]
                output = subprocess.check_output([sys.executable, __file__, *words], text=True)
                found[kind][batch].append(json.loads(output.splitlines()[-1]))
    figures = {kind: summary(found[kind], found["whole"]) for kind in KINDS}
    for kind, figure in figures.items():
        print(kind, json.dumps(figure))
    common.save(values, kinds=figures)


def summary(found: dict[int, list[dict]], plain: dict[int, list[dict]]) -> dict:
    """Returns the figures of one kind: memory and seconds by batch, and losses beside `plain`."""
    pairs = [(a, b) for batch in found for a, b in zip(found[batch], plain[batch])]
    figures = {
        "seconds": {batch: min(t["seconds"] for t in turns) for batch, turns in found.items()},
        "losses_differ": max(
            float(np.max(np.abs(np.divide(a["losses"], b["losses"]) - 1))) for a, b in pairs
        ),
    }
    for name in ("allocated_gib", "resident_gib"):
        peaks = {batch: max(turn[name] for turn in turns) for batch, turns in found.items()}
        figures[name] = peaks
        figures[f"{name}_per_image"] = float(np.polyfit(list(peaks), list(peaks.values()), 1)[0])
    return figures


if __name__ == "__main__":
    main()
