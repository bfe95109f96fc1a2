"""TFLite files of fixed size, checked before they count."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mosaic.export import int8_rewrite, tolerances
from mosaic.export.parity import Agreement, EvaluationSplit, check
from mosaic.export.serving_module import Serving
from mosaic.export.tflite_converter import convert
from mosaic.export.tolerances import LIMITS
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.inference.predictors import fit_image
from mosaic.models import quantization_aware
from mosaic.models.fake_quant import round_to
from mosaic.models.inputs import check_size
from mosaic.models.resizing import half_pixel_centers, resize_bilinear
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.atomic_io import replacing
from mosaic.utils.errors import RunError, UserError

OUTPUTS = ("logits", "logits_stride4", "labels")
INPUT_TYPES = {"uint8": tf.uint8, "int8": tf.int8}


def write(
    model,
    images: Sequence[np.ndarray],
    path: str,
    size: tuple[int, int],
    output: str = "logits",
    quantize: str = "none",
    representative: Callable | None = None,
    input_type: str = "uint8",
    dataset=None,
    split: EvaluationSplit | None = None,
    steps: int | None = None,
) -> Agreement:
    """Writes a TFLite file of fixed size, checks it on images, and only then gives it its name.

    Args:
      model: the network.
      images: uint8 [height, width, 3] each, to check it on; resized to `size` where they differ.
      path: of the file.
      size: (height, width) of its input, in pixels.
      output: `logits` [1, height, width, classes]; `logits_stride4`, the same at a quarter of the
        height and width, rounded up; or `labels` [1, height, width], int32. Logits are float32,
        those of `int8` files of the input's type.
      quantize: `none`; `float16` weights; `dynamic` range, 8-bit weights; or `int8` throughout.
      representative: yields images for `int8` to measure ranges on. A network of
        quantization-aware training has learnt its ranges, and becomes nothing but `int8`.
      input_type: of `int8` files: `uint8`, the image's bytes, or `int8`, those less 128. Other
        files take float32, the same numbers.
      dataset: a description, whose class names and colours are written into the file's metadata.
      split: also scores it and the network.
      steps: of the network's training by this project, for the metadata.

    Raises:
      UserError: an argument is unknown or not for this network, `size` too small for it, or it
        has operators that TFLite has not.
      RunError: it differs from the network by more than it may, or has float operators after
        quantization-aware training; nothing is left under `path`.
    """
    check_choice("output", output, OUTPUTS)
    check_choice("quantize", quantize, LIMITS)
    check_choice("input_type", input_type, INPUT_TYPES)
    learnt = is_learnt(model, quantize)
    if quantize == "int8" and not learnt and representative is None:
        raise UserError("--quantize=int8 needs representative images; use a data set")
    check_size(model, *size)

    if quantize == "int8":
        source = quantization_aware.for_file(model) if learnt else model
        network, centre = int8_rewrite.from_pixels(source)
    else:
        network, centre = functools.partial(model, training=False), 0
    answered = tuple(-(-side // 4) for side in size) if output == "logits_stride4" else size

    @tf.function(input_signature=[tf.TensorSpec([1, *size, 3], tf.float32, "images")])
    def answer(pixels):
        if learnt:
            pixels = round_to(pixels, -centre, 255 - centre)
        logits = resize_bilinear(network(pixels), answered, half_pixel_centers(model))
        if output == "labels":
            return {"labels": tf.argmax(logits, -1, output_type=tf.int32)}
        return {"logits": logits}

    # The converter saves what it is given: a Keras model layer by layer, at some ten seconds.
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [answer.get_concrete_function()], Serving(model)
    )
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8" and not learnt:
        converter.representative_dataset = lambda: int8_rewrite.samples(
            (fit_image(image, size) for image in representative()), centre
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if quantize == "int8":
        converter.inference_input_type = INPUT_TYPES[input_type]
        if output != "labels":
            converter.inference_output_type = INPUT_TYPES[input_type]
    content = tflite_metadata.add(convert(converter, path), model, dataset, steps)
    with replacing(path) as aside:
        aside.write_bytes(content)
        file = TFLiteModel.open(aside)
        if learnt and (kinds := file.float_operators):
            raise RunError(f"{path}: computes in float32 ({', '.join(kinds)}); nothing was kept")
        export = TFLitePredictor(file)
        fitted = [fit_image(image, size) for image in images]
        return check(model, export, fitted, tolerances.of_model(model, quantize), path, split)


def check_choice(name: str, value: str, known) -> None:
    """Refuses a flag's value that is none of those known."""
    if value not in known:
        raise UserError(f"--{name}={value}: not one of {', '.join(known)}")


def is_learnt(model, quantize: str) -> bool:
    """Whether a network has learnt the ranges of its 8-bit file.

    Raises:
      UserError: it has, and is to become another file.
    """
    learnt = quantization_aware.is_quantized(model)
    if learnt and quantize != "int8":
        raise UserError(
            f"--quantize={quantize}: a network of quantization-aware training becomes an 8-bit "
            "file; use int8"
        )
    return learnt
