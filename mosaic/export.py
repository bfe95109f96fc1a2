"""Exports: SavedModel with the TF Hub module's contract, and TFLite, checked before they count."""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mosaic import experiment, integer_graph
from mosaic.checkpoints import loading, run_folder
from mosaic.conversion import convert
from mosaic.export_check import Agreement, EvaluationSplit, check
from mosaic.inference import predictors
from mosaic.inference.predictors import fit_image
from mosaic.limits import LEARNT, LIMITS, Limit
from mosaic.models import batch_norm, quantization_aware
from mosaic.models.fake_quant import round_to
from mosaic.models.inputs import check_size
from mosaic.models.resizing import half_pixel_centers, resize_bilinear
from mosaic.serving import Serving
from mosaic.tflite import metadata as tflite_metadata
from mosaic.utils import class_names
from mosaic.utils.atomic_io import check_writable, replacing
from mosaic.utils.errors import RunError, UserError

FORMATS = ("saved_model", "tflite", "garden_checkpoint")
OUTPUTS = ("logits", "logits_stride4", "labels")
INPUT_TYPES = {"uint8": tf.uint8, "int8": tf.int8}


def saved_model(
    model,
    images: Sequence[np.ndarray],
    path: str,
    dataset=None,
    split: EvaluationSplit | None = None,
) -> Agreement:
    """Writes a SavedModel, checks it on images, and only then gives it its name.

    `serving_default` takes float32; `serving_uint8`, the same in uint8, moves a quarter of the
    bytes; `serving_image_bytes` takes JPEG and PNG files; calling the loaded object takes images
    of either type.

    Args:
      model: the network.
      images: uint8 [height, width, 3] each, to check it on.
      path: of the folder.
      dataset: a description, whose class names and colours are written into
        assets.extra/classes.json.
      split: also scores it and the network.

    Raises:
      RunError: it differs from the network by more than it may; nothing is left under `path`.
    """
    module = Serving(model)
    with replacing(path) as aside:
        tf.saved_model.save(module, str(aside), signatures=module.signatures())
        if dataset is not None:
            class_names.save(str(aside / "assets.extra"), dataset)
        export = predictors.of_saved_model(str(aside))
        return check(model, export, images, _limit(model, "none"), path, split)


def tflite(
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
    _one_of("output", output, OUTPUTS)
    _one_of("quantize", quantize, LIMITS)
    _one_of("input_type", input_type, INPUT_TYPES)
    learnt = _is_learnt(model, quantize)
    if quantize == "int8" and not learnt and representative is None:
        raise UserError("--quantize=int8 needs representative images; use a data set")
    check_size(model, *size)

    if quantize == "int8":
        source = quantization_aware.for_file(model) if learnt else model
        network, centre = integer_graph.from_pixels(source)
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
        converter.representative_dataset = lambda: integer_graph.samples(
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
        if learnt and (kinds := integer_graph.float_operators(str(aside))):
            raise RunError(f"{path}: computes in float32 ({', '.join(kinds)}); nothing was kept")
        export = predictors.of_tflite(str(aside))
        fitted = [fit_image(image, size) for image in images]
        return check(model, export, fitted, _limit(model, quantize), path, split)


def _one_of(name: str, value: str, known) -> None:
    if value not in known:
        raise UserError(f"--{name}={value}: not one of {', '.join(known)}")


def _is_learnt(model, quantize: str) -> bool:
    """Whether a network has learnt the ranges of its 8-bit file."""
    learnt = quantization_aware.is_quantized(model)
    if learnt and quantize != "int8":
        raise UserError(
            f"--quantize={quantize}: a network of quantization-aware training becomes an 8-bit "
            "file; use int8"
        )
    return learnt


def _limit(model, quantize: str) -> Limit:
    return LEARNT if quantization_aware.is_quantized(model) else LIMITS[quantize]


def export_checkpoint(
    checkpoint: str,
    export_dir: str,
    formats: Sequence[str] = ("saved_model", "tflite"),
    quantize: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    output: str = "logits",
    num_images: int = 4,
    input_type: str = "uint8",
    evaluate: bool = False,
) -> None:
    """Exports the configured experiment's network with a checkpoint's weights.

    Args:
      checkpoint: as for `checkpoints.read`.
      export_dir: receives saved_model/, {network}_{quantize}_{output}.tflite, of which `none` is
        called float32 (of int8 input, {network}_int8_int8_input_{output}.tflite), and
        garden_checkpoint/.
      formats: of `FORMATS`.
      quantize: of the TFLite files, one for each; `none`, or `int8` for a network of
        quantization-aware training, if None.
      size: (height, width) of TFLite's input; the images' own size if None.
      output: of TFLite, one of `OUTPUTS`.
      num_images: of the evaluation split, on which each export is checked.
      input_type: of int8 TFLite files, one of `INPUT_TYPES`.
      evaluate: also score each export and the network on the whole evaluation split.

    Raises:
      UserError: nothing that was asked for can be exported as asked; nothing is written.
      RunError: an export differs from the network by more than it may, and is not kept.
    """
    for name, values, known in (
        ("format", formats, FORMATS),
        ("output", [output], OUTPUTS),
        ("input_type", [input_type], INPUT_TYPES),
        ("quantize", quantize or (), LIMITS),
    ):
        for value in values:
            _one_of(name, value, known)
    check_writable(export_dir)
    model, dataset, evaluation, loaded = experiment.load_experiment(checkpoint)
    quantize = quantize or ("int8" if quantization_aware.is_quantized(model) else "none",)
    if input_type != "uint8" and "int8" not in quantize:
        raise UserError(f"--input_type={input_type} is for int8 files; add --quantize=int8")
    count = min(num_images, dataset.num_images(evaluation.split))
    images = [dataset.example(evaluation.split, index)[0] for index in range(count)]
    if "tflite" in formats:
        size = tuple(size or dataset.image_size or evaluation.padded_size or images[0].shape[:2])
        check_size(model, *size)
        learnt = any(_is_learnt(model, kind) for kind in quantize)
        if "int8" in quantize and not learnt and "train" not in dataset.splits:
            raise UserError(
                f"--quantize=int8 measures ranges on training images, and {dataset.name} has none "
                f"here (only {', '.join(dataset.splits)})"
            )
    split = EvaluationSplit(model, dataset, evaluation) if evaluate else None
    folder = pathlib.Path(export_dir)
    if "garden_checkpoint" in formats:
        if loaded.form == "tflite":
            _calibrate(model, dataset)
        path = loading.save_garden(model, str(folder / "garden_checkpoint"), loaded, dataset)
        print(f"{path}: {len(model.variables)} variables, read back equal")
    if "saved_model" in formats:
        path = folder / "saved_model"
        result = saved_model(model, images, str(path), dataset, split)
        print(f"{path}: {result}")
        _warn(path, _limit(model, "none"), result)
    if "tflite" in formats:

        def representative():
            for index in range(min(64, dataset.num_images("train"))):
                yield dataset.example("train", index)[0]

        for kind in quantize:
            suffix = "float32" if kind == "none" else kind
            if kind == "int8" and input_type != "uint8":
                suffix += f"_{input_type}_input"
            path = folder / f"{model.name}_{suffix}_{output}.tflite"
            result = tflite(
                model,
                images,
                str(path),
                size,
                output,
                kind,
                representative,
                input_type,
                dataset,
                split,
                run_folder.steps_of(checkpoint, loaded),
            )
            megabytes = path.stat().st_size / 1e6
            print(f"{path}: {megabytes:.2f} MB, {size[0]}x{size[1]}, {result}")
            _warn(path, _limit(model, kind), result)


def _calibrate(model, dataset) -> None:
    """Gives a network of a TFLite file batch norm's statistics, for who trains it further."""
    count = min(64, dataset.num_images("train")) if "train" in dataset.splits else 0
    images = [dataset.example("train", index)[0] for index in range(count)]
    fitting = [image for image in images if _takes(model, image)]
    if fitting:
        batch_norm.calibrate(model, fitting)
        return
    print(
        f"warning: {dataset.name} has no training images here that the network takes: batch norm's "
        "statistics stay 0 and 1, which serve inference and not training",
        file=sys.stderr,
    )


def _takes(model, image: np.ndarray) -> bool:
    try:
        check_size(model, *image.shape[:2])
    except UserError:
        return False
    return True


def _warn(path: pathlib.Path, limit: Limit, result: Agreement) -> None:
    if missed := result.misses(limit):
        print(f"warning: {path}: exports of this format usually have {missed}", file=sys.stderr)
