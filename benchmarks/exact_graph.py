"""Training steps as they are written, and as TensorFlow's graph optimizer rewrites them.

python benchmarks/exact_graph.py --output=OUT

Losses and logits of the first steps, from the same weights on the same drawn scenes, and the time
of a step of 8 images of 360x480.
"""

from __future__ import annotations

import time

import numpy as np
import tensorflow as tf
import tf_keras

import common
from data.street_scenes import drawing
from mosaic.distribution.runtime import runtime
from mosaic.models.mosaic import mosaic
from mosaic.training.losses import CrossEntropy

SIZE, BATCH, STEPS = (360, 480), 8, 3


def trained(exact: bool, images: tf.Tensor, labels: tf.Tensor, turns: int):
    """Returns the first steps' losses, logits after them, and the seconds of `turns` more steps."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    runtime(exact_graph=exact)
    model, loss = mosaic(19, dropout=0.0), CrossEntropy()
    optimizer = tf_keras.optimizers.legacy.SGD(0.01, momentum=0.9)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
        return value

    losses = np.array([float(step()) for _ in range(STEPS)])
    logits = model(images[:1], training=False).numpy()
    seconds = []
    for _ in range(turns):
        start = time.perf_counter()
        float(step())
        seconds.append(time.perf_counter() - start)
    return losses, logits, common.spread(seconds)


def main() -> None:
    """Measures."""
    values = common.parser(__doc__, turns=10).parse_args()
    scenes = [drawing.draw_scene(index, *SIZE) for index in range(BATCH)]
    images, labels = (tf.constant(np.stack(part)) for part in zip(*scenes))
    exact, rewritten = (trained(kind, images, labels, values.turns) for kind in (True, False))
    metrics = {
        "losses": np.abs(rewritten[0] / exact[0] - 1).tolist(),
        "logits": float(np.max(np.abs(rewritten[1] - exact[1]))),
        "seconds": {"exact": exact[2], "rewritten": rewritten[2]},
    }
    for name, found in metrics.items():
        print(name, found)
    common.save(values, **metrics)


if __name__ == "__main__":
    main()
