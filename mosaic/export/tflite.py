"""TFLite files of fixed size, checked before they get their name."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.export import float_rewrite, int8_rewrite, tflite_finish, tolerances
from mosaic.export.parity import Agreement, EvaluationSplit, check
from mosaic.export.serving_module import Serving
from mosaic.export.tflite_converter import convert
from mosaic.export.tolerances import LIMITS
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.inference.predictors import fit_image
from mosaic.models import quantization_aware
from mosaic.models.fake_quant import round_to
from mosaic.models.inputs import check_size
from mosaic.models.resizing import resize_bilinear, rule_of
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.atomic_io import replacing
from mosaic.utils.errors import RunError, UserError
from mosaic.utils.segmentation_dataset import SegmentationDataset

OUTPUTS = ("logits", "logits_stride4", "labels")
INPUT_TYPES = {"uint8": tf.uint8, "int8": tf.int8}


@dataclasses.dataclass(frozen=True)
class TFLiteOptions:
    """Input, output and precision of a TFLite file.

    Attributes:
      size: (height, width) of its input, in pixels.
      output: kind of output: `logits` [1, height, width, classes]; `logits_stride4`, the same at a
        quarter of the height and width, rounded up; or `labels` [1, height, width], int32. Logits
        are float32, or of the input's type in int8 files.
      quantize: kind of quantization: `none`; `float16` weights; `dynamic` range with int8 weights;
        or `int8` weights and maps.
      input_type: type of an int8 file's input: `uint8`, the image's bytes, or `int8`, the bytes
        minus 128. Other files take the bytes' values in float32.
      limit: how far the file may differ from its network; None for the format's
        (`mosaic.export.tolerances`).

    Raises:
      UserError: an option has a value that is not known.
    """

    size: tuple[int, int]
    output: str = "logits"
    quantize: str = "none"
    input_type: str = "uint8"
    limit: tolerances.Limit | None = None

    def __post_init__(self):
        check_choice("output", self.output, OUTPUTS)
        check_choice("quantize", self.quantize, LIMITS)
        check_choice("input_type", self.input_type, INPUT_TYPES)

    @property
    def is_int8(self) -> bool:
        """Whether the file computes in integers."""
        return self.quantize == "int8"

    @property
    def kind(self) -> str:
        """What its output is: `logits` or `labels`."""
        return "labels" if self.output == "labels" else "logits"

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of its output."""
        if self.output == "logits_stride4":
            return -(-self.size[0] // 4), -(-self.size[1] // 4)
        return self.size

    @property
    def suffix(self) -> str:
        """Part of the file's name after the network's name."""
        name = "float32" if self.quantize == "none" else self.quantize
        if self.is_int8 and self.input_type != "uint8":
            name += f"_{self.input_type}_input"
        return f"{name}_{self.output}"


def write(
    model: tf_keras.Model,
    images: Sequence[np.ndarray],
    path: str,
    options: TFLiteOptions,
    representative: Callable[[], Iterable[np.ndarray]] | None = None,
    dataset: SegmentationDataset | None = None,
    split: EvaluationSplit | None = None,
    steps: int | None = None,
    record: str | None = None,
) -> Agreement:
    """Writes a TFLite file of fixed size, checks it on images, and only then gives it its name.

    Args:
      model: network to export.
      images: uint8 [height, width, 3] each, to check it on; resized to the file's size where they
        differ.
      path: path of the file.
      options: input, output and precision of the file.
      representative: function that yields images to measure an int8 file's ranges on. A network of
        quantization-aware training has learnt its ranges, and can only become an int8 file.
      dataset: data set whose class names and colours are written into the file's metadata.
      split: evaluation split to score the file and the network on; None to score neither.
      steps: number of steps of the network's training by this project, for the metadata.
      record: text of the record of its run (`mosaic.checkpoints.run_record`), for the metadata;
        None for none.

    Raises:
      UserError: an option is not possible for this network, the size is too small for it, or it has
        operators that TFLite lacks.
      RunError: the file differs from the network by more than its limit, or has float operators
        after quantization-aware training; nothing is left under `path`.
    """
    learnt = is_learnt(model, options.quantize)
    if options.is_int8 and not learnt and representative is None:
        raise UserError("--quantize=int8 needs representative images; use a data set")
    check_size(model, *options.size)
    # The function keeps the variables of what it was traced from alive.
    answer = _graph(model, options, learnt)
    # The converter saves its last argument: a Keras model layer by layer, in about ten seconds.
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [answer.get_concrete_function()], Serving(model)
    )
    _set_precision(converter, options)
    if options.is_int8 and not learnt:
        converter.representative_dataset = lambda: int8_rewrite.samples(
            fit_image(image, options.size) for image in representative()
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    content = tflite_finish.finished(convert(converter, path), options.kind)
    content = tflite_metadata.add(content, model, dataset, steps, record)
    with replacing(path) as aside:
        aside.write_bytes(content)
        file = TFLiteModel.open(aside)
        if learnt and (kinds := file.float_operators):
            raise RunError(f"{path}: computes in float32 ({', '.join(kinds)}); nothing was kept")
        fitted = [fit_image(image, options.size) for image in images]
        limit = options.limit or tolerances.of_model(model, options.quantize)
        return check(model, TFLitePredictor(file), fitted, limit, path, split)


def _graph(model: tf_keras.Model, options: TFLiteOptions, learnt: bool):
    """The function of images in 0..255 that becomes the file."""
    if options.is_int8:
        source = quantization_aware.for_file(model) if learnt else model
        network = int8_rewrite.from_pixels(source, as_stored=True, learnt=learnt)
    else:
        network = functools.partial(float_rewrite.in_floats(model), training=False)

    @tf.function(input_signature=[tf.TensorSpec([1, *options.size, 3], tf.float32, "images")])
    def answer(pixels):
        if learnt:
            pixels = round_to(pixels, 0.0, 255.0)
        logits = resize_bilinear(network(pixels), options.output_size, rule_of(model))
        if options.kind == "labels":
            return {"labels": tf.argmax(logits, -1, output_type=tf.int32)}
        return {"logits": logits}

    return answer


def _set_precision(converter: tf.lite.TFLiteConverter, options: TFLiteOptions) -> None:
    if options.quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if options.quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if options.is_int8:
        converter.inference_input_type = INPUT_TYPES[options.input_type]
        if options.output != "labels":
            converter.inference_output_type = INPUT_TYPES[options.input_type]


def check_choice(name: str, value: str, known: Collection[str]) -> None:
    """Raises a UserError if a flag's value is not one of those known."""
    if value not in known:
        raise UserError(f"--{name}={value}: not one of {', '.join(known)}")


def is_learnt(model: tf_keras.Model, quantize: str) -> bool:
    """Whether a network has learnt the ranges of its int8 file.

    Raises:
      UserError: it has, but `quantize` is not `int8`.
    """
    learnt = quantization_aware.is_quantized(model)
    if learnt and quantize != "int8":
        raise UserError(
            f"--quantize={quantize}: a network of quantization-aware training becomes an 8-bit "
            "file; use int8"
        )
    return learnt
