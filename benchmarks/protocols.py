"""How much the way of scoring moves mIoU: what a tolerance for published weights must allow.

python benchmarks/protocols.py --data_dir=CAMVID --checkpoint=mosaic_r4_ade20k_uint8.tflite \
    --output=OUT

Real weights (MLPerf's MOSAIC) on CamVid's validation split, at two sizes, in ways that differ in
one thing each: frames through JPEG as the Garden's reader of Cityscapes does it; the same with the
decoder's other arithmetic; convolutions with factors in bfloat16, which a TPU computes float32
with; batch norm apart from the convolutions; and without the first 6 % of the images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras

import common
import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from mosaic import config
from mosaic.checkpoints import loading
from mosaic.config import find, parse
from mosaic.evaluation import loop, metrics
from mosaic.evaluation.evaluator import segmenting
from mosaic.evaluation.loop import ScoredImage
from mosaic.inference.predictors import Predictor, fit, of_network
from mosaic.models.resizing import rule_of

SIZES = ((360, 480), (720, 960))
# Of Cityscapes, a first batch of 32 of 500 images.
FORGOTTEN = 32 / 500


def rounded(x: tf.Tensor) -> tf.Tensor:
    """Returns float32 with the digits of bfloat16."""
    return tf.cast(tf.cast(x, tf.bfloat16), tf.float32)


class RoundedConv2D(tf_keras.layers.Conv2D):
    """A convolution whose factors have the digits of bfloat16; sums are in float32."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(rounded(inputs), rounded(kernel))


class RoundedDepthwiseConv2D(tf_keras.layers.DepthwiseConv2D):
    """The same for depthwise convolutions."""

    def call(self, inputs):
        outputs = tf_keras.backend.depthwise_conv2d(
            rounded(inputs),
            rounded(self.depthwise_kernel),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
        )
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs


def in_bfloat16(model: tf_keras.Model) -> tf_keras.Model:
    """Returns a network whose convolutions have factors in bfloat16."""
    kinds = {
        tf_keras.layers.Conv2D: RoundedConv2D,
        tf_keras.layers.DepthwiseConv2D: RoundedDepthwiseConv2D,
    }
    found = tf_keras.models.clone_model(
        model, clone_function=lambda x: kinds.get(type(x), type(x)).from_config(x.get_config())
    )
    found.set_weights(model.get_weights())
    return found


def as_it_is(model: tf_keras.Model) -> Predictor:
    """Returns a predictor of a network without batch norm folded into its convolutions."""
    run = tf.function(
        lambda x: model(tf.cast(x, tf.float32), training=False), reduce_retracing=True
    )
    return Predictor(run, "network", model.output_shape[-1], rule=rule_of(model))


def through_jpeg(method: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that encodes images as the Garden's reader does, and decodes them.

    Args:
      method: arithmetic of the decoder, `INTEGER_FAST` or `INTEGER_ACCURATE`.
    """

    def recoded(image):
        content = tf.io.encode_jpeg(image, quality=100)
        return tf.io.decode_jpeg(content, channels=3, dct_method=method)

    return tf.function(lambda images: tf.map_fn(recoded, images), reduce_retracing=True)


class Answers:
    """Observer that keeps the counts and the predictions of all images."""

    def __init__(self):
        self.counts: list[np.ndarray] = []
        self.predicted: list[np.ndarray] = []

    def see(self, image: ScoredImage) -> None:
        self.counts.append(image.counts)
        self.predicted.append(image.predicted.astype(np.uint8))


def scored(predictor: Predictor, change: Callable | None, size: tuple[int, int]) -> Answers:
    """Returns the answers on the evaluation split, for frames of a size that are changed first."""
    dataset = config.build("train.dataset")
    evaluation = dataclasses.replace(config.build("train.evaluation"), input_size=None)
    segment = segmenting(predictor, dataset, evaluation)
    answers = Answers()

    def run(images, labels):
        images = fit(images, size)
        return segment(change(images) if change else images, labels)

    loop.run(run, dataset, evaluation.split, [answers], evaluation.batch_size)
    return answers


def without_first(answers: Answers, draws: int = 1000) -> dict[str, float]:
    """Mean IoU's change where 6 % of the images are left out: the first, and any (deviation)."""
    rng = np.random.default_rng(0)
    counts = np.stack(answers.counts)
    total, number = counts.sum(0), round(FORGOTTEN * len(counts))
    whole = metrics.mean_iou(total)
    first = metrics.mean_iou(total - counts[:number].sum(0)) - whole
    changes = [
        metrics.mean_iou(total - counts[rng.choice(len(counts), number, replace=False)].sum(0))
        for _ in range(draws)
    ]
    return {"first": first, "deviation": float(np.std(changes))}


def main() -> None:
    """Measures."""
    flags = common.parser(__doc__, turns=1)
    flags.add_argument("--data_dir", required=True)
    flags.add_argument("--checkpoint", required=True)
    values = flags.parse_args()
    parse([find("ade20k_on_camvid")], [f"DATA_DIR = {values.data_dir!r}"])
    model = config.build("train.model")
    loading.load(model, values.checkpoint)
    plain = of_network(model)
    ways = {
        "JPEG": (plain, through_jpeg("INTEGER_FAST")),
        "JPEG, accurate decoder": (plain, through_jpeg("INTEGER_ACCURATE")),
        "bfloat16 factors": (as_it_is(in_bfloat16(model)), None),
        "batch norm apart": (as_it_is(model), None),
    }
    found = {}
    for size in SIZES:
        clean = scored(plain, None, size)
        base = metrics.mean_iou(sum(clean.counts))
        here = {"mean_iou": base, "left_out": without_first(clean), "ways": {}}
        for name, (predictor, change) in ways.items():
            answers = scored(predictor, change, size)
            same = np.mean(np.stack(answers.predicted) == np.stack(clean.predicted))
            difference = metrics.mean_iou(sum(answers.counts)) - base
            here["ways"][name] = {"difference": difference, "changed": float(1.0 - same)}
            print(f"{size}: {name}: {100 * difference:+.3f} points, {1 - same:.3%} changed")
        found["x".join(map(str, size))] = here
        print(f"{size}: {100 * base:.2f}, left out {here['left_out']}")
    common.save(values, sizes=found)


if __name__ == "__main__":
    main()
