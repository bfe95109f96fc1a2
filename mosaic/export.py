"""Exports: SavedModel with the TF Hub module's contract, and TFLite, checked before they count."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mosaic import classes, integer_graph, quantization
from mosaic.errors import RunError, UserError
from mosaic.files import replacing
from mosaic.layers import half_pixel_centers, resize_bilinear, size_of
from mosaic.network import check_size
from mosaic.predictors import fit_image, of_tflite
from mosaic.rounding import round_to

FORMATS = ("saved_model", "tflite", "garden_checkpoint")
OUTPUTS = ("logits", "labels")


@dataclasses.dataclass(frozen=True)
class Limit:
    """What an export may differ from its network by, on real images.

    Attributes:
      difference: largest absolute difference of a logit, or None for no limit.
      equal: least share of pixels with the same class.
    """

    difference: float | None
    equal: float


LIMITS = {
    "none": Limit(1e-2, 0.999),
    "float16": Limit(None, 0.99),
    "dynamic": Limit(None, 0.90),
    "int8": Limit(None, 0.80),
}
# Of a network of quantization-aware training, which rounds as its exports do: where their last bits
# differ, a value is rounded to the next step.
LEARNT = Limit(None, 0.90)


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How an export compares with its network on real images.

    Attributes:
      difference: largest absolute difference of a logit; None for an export of labels.
      equal: share of pixels with the same class.
      images: how many were compared.
    """

    difference: float | None
    equal: float
    images: int

    def __str__(self) -> str:
        logits = (
            "" if self.difference is None else f"largest logit difference {self.difference:.3g}, "
        )
        return f"{logits}{100 * self.equal:.4f} % equal pixels on {self.images} images"


class Serving(tf.Module):
    """A network behind the TF Hub module's contract.

    Images [batch, height, width, 3] in 0..255, float32 or uint8, of any batch and size that the
    network takes, give `logits` [batch, height, width, classes] at the images' own size.
    """

    def __init__(self, model):
        super().__init__(name="segmentation")
        # Only the variables are tracked: a tracked Keras model would be saved a second time, layer
        # by layer, in a form that needs Keras to load.
        self._weights = model.variables
        self._forward = lambda images: model(images, training=False)
        self._half_pixel_centers = half_pixel_centers(model)

    @tf.function
    def __call__(self, images):
        logits = self._forward(tf.cast(images, tf.float32))
        return {"logits": resize_bilinear(logits, size_of(images), self._half_pixel_centers)}

    def signature(self, dtype: tf.DType, shape: Sequence[int | None] = (None, None, None, 3)):
        """Returns the concrete function for one input type and shape."""
        return self.__call__.get_concrete_function(tf.TensorSpec(shape, dtype, "images"))


def saved_model(model, images: Sequence[np.ndarray], path: str, dataset=None) -> Agreement:
    """Writes a SavedModel, checks it on images, and only then gives it its name.

    `serving_default` takes float32; `serving_uint8`, the same in uint8, moves a quarter of the
    bytes; calling the loaded object takes either.

    Args:
      model: the network.
      images: uint8 [height, width, 3] each, to check it on.
      path: of the folder.
      dataset: a description, whose class names and colours are written into
        assets.extra/classes.json.

    Raises:
      RunError: it differs from the network by more than it may; nothing is left under `path`.
    """
    module = Serving(model)
    signatures = {
        "serving_default": module.signature(tf.float32),
        "serving_uint8": module.signature(tf.uint8),
    }
    with replacing(path) as aside:
        tf.saved_model.save(module, str(aside), signatures=signatures)
        if dataset is not None:
            classes.save(str(aside / "assets.extra"), dataset)
        serve = tf.saved_model.load(str(aside)).signatures["serving_default"]

        def logits(image):
            return serve(images=tf.cast(image[np.newaxis], tf.float32))["logits"][0].numpy()

        limit = LEARNT if quantization.is_quantized(model) else LIMITS["none"]
        return check(model, logits, images, limit, path)


def tflite(
    model,
    images: Sequence[np.ndarray],
    path: str,
    size: tuple[int, int],
    output: str = "logits",
    quantize: str = "none",
    representative: Callable | None = None,
) -> Agreement:
    """Writes a TFLite file of fixed size, checks it on images, and only then gives it its name.

    Args:
      model: the network.
      images: uint8 [height, width, 3] each, to check it on; resized to `size` where they differ.
      path: of the file.
      size: (height, width) of its input, in pixels.
      output: `logits` [1, height, width, classes], float32, or `labels` [1, height, width], int32.
      quantize: `none`; `float16` weights; `dynamic` range, 8-bit weights; or `int8` throughout.
      representative: yields images for `int8` to measure ranges on. A network of
        quantization-aware training has learnt its ranges, and becomes nothing but `int8`.

    Raises:
      UserError: `output` or `quantize` is unknown or not for this network, or `size` too small
        for it.
      RunError: it differs from the network by more than it may, or has float operators after
        quantization-aware training; nothing is left under `path`.
    """
    if output not in OUTPUTS:
        raise UserError(f"output {output!r} is not one of {', '.join(OUTPUTS)}")
    if quantize not in LIMITS:
        raise UserError(f"quantize {quantize!r} is not one of {', '.join(LIMITS)}")
    check_size(model, *size)

    learnt = quantization.is_quantized(model)
    if learnt and quantize != "int8":
        raise UserError(
            f"quantize={quantize}: a network of quantization-aware training becomes an 8-bit file; "
            "use int8"
        )
    if quantize == "int8":
        source = quantization.for_file(model) if learnt else model
        network, centre = integer_graph.from_pixels(source)
    else:
        network, centre = functools.partial(model, training=False), 0

    @tf.function(input_signature=[tf.TensorSpec([1, *size, 3], tf.float32, "images")])
    def answer(pixels):
        if learnt:
            pixels = round_to(pixels, -centre, 255 - centre)
        logits = resize_bilinear(network(pixels), size, half_pixel_centers(model))
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
    if quantize == "int8":
        converter.inference_input_type = tf.uint8
    if quantize == "int8" and not learnt:
        if representative is None:
            raise UserError("quantize=int8 needs representative images; use a data set")
        converter.representative_dataset = lambda: integer_graph.samples(
            (fit_image(image, size) for image in representative()), centre
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with warnings.catch_warnings():
        # The input's learnt range stands in the graph, where the converter does not look for it.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        content = converter.convert()
    with replacing(path) as aside:
        aside.write_bytes(content)
        if learnt and (kinds := integer_graph.float_operators(str(aside))):
            raise RunError(f"{path}: computes in float32 ({', '.join(kinds)}); nothing was kept")
        run = of_tflite(str(aside), "none").run
        fitted = [fit_image(image, size) for image in images]
        limit = LEARNT if learnt else LIMITS[quantize]
        return check(model, lambda image: run(image[np.newaxis])[0], fitted, limit, path)


def check(
    model, export: Callable, images: Sequence[np.ndarray], limit: Limit, path: str
) -> Agreement:
    """Compares an export with its network on images.

    Args:
      model: the network.
      export: from an image to logits [height, width, classes] or labels [height, width].
      images: uint8 [height, width, 3] each.
      limit: what is allowed.
      path: of the export, for messages.

    Raises:
      RunError: it differs by more than that.
    """
    serve = Serving(model)
    largest, equal, pixels = None, 0, 0
    for image in images:
        expected = serve(tf.constant(image[np.newaxis]))["logits"][0].numpy()
        got = np.asarray(export(image))
        if got.ndim == 3:
            difference = float(np.max(np.abs(got - expected)))
            largest = difference if largest is None else max(largest, difference)
            got = np.argmax(got, -1)
        same = got == np.argmax(expected, -1)
        equal += int(np.sum(same))
        pixels += same.size
    result = Agreement(largest, equal / pixels, len(images))
    too_far = (
        limit.difference is not None and largest is not None and not (largest <= limit.difference)
    )
    if too_far or result.equal < limit.equal:
        raise RunError(
            f"{path}: the export differs from its network ({result}; allowed are "
            f"{100 * limit.equal:g} % equal pixels"
            + (f" and a logit difference of {limit.difference:g}" if limit.difference else "")
            + "); nothing was kept"
        )
    return result


def export_checkpoint(
    checkpoint: str,
    export_dir: str,
    formats: Sequence[str] = ("saved_model", "tflite"),
    quantize: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    output: str = "logits",
    num_images: int = 4,
) -> None:
    """Exports the configured experiment's network with a checkpoint's weights.

    Args:
      checkpoint: as for `checkpoints.read`.
      export_dir: receives saved_model/, {network}_{quantize}_{output}.tflite and
        garden_checkpoint/.
      formats: of `FORMATS`.
      quantize: of the TFLite files, one for each; `none`, or `int8` for a network of
        quantization-aware training, if None.
      size: (height, width) of TFLite's input; the images' own size if None.
      output: of TFLite: `logits` or `labels`.
      num_images: of the evaluation split, on which each export is checked.
    """
    from mosaic import checkpoints
    from mosaic.scoring import load_experiment

    unknown = set(formats) - set(FORMATS)
    if unknown:
        raise UserError(f"--format={sorted(unknown)[0]}: not one of {', '.join(FORMATS)}")
    model, dataset, evaluation = load_experiment(checkpoint)
    count = min(num_images, dataset.num_images(evaluation.split))
    images = [dataset.example(evaluation.split, index)[0] for index in range(count)]
    folder = pathlib.Path(export_dir)
    if "garden_checkpoint" in formats:
        loaded = None if checkpoint.endswith(".tflite") else checkpoints.read(checkpoint)
        path = checkpoints.save_garden(model, str(folder / "garden_checkpoint"), loaded)
        print(f"{path}: {len(model.variables)} variables, read back equal")
    if "saved_model" in formats:
        path = folder / "saved_model"
        print(f"{path}: {saved_model(model, images, str(path), dataset)}")
    if "tflite" in formats:
        size = tuple(size or dataset.image_size or images[0].shape[:2])

        def representative():
            for index in range(min(64, dataset.num_images("train"))):
                yield dataset.example("train", index)[0]

        default = "int8" if quantization.is_quantized(model) else "none"
        for kind in quantize or (default,):
            suffix = "float32" if kind == "none" else kind
            path = folder / f"{model.name}_{suffix}_{output}.tflite"
            result = tflite(model, images, str(path), size, output, kind, representative)
            megabytes = path.stat().st_size / 1e6
            print(f"{path}: {megabytes:.2f} MB, {size[0]}x{size[1]}, {result}")
