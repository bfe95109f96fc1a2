"""Exports: SavedModel with the TF Hub module's contract, and TFLite, checked before they count."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

import numpy as np

from mosaic import experiment
from mosaic.checkpoints import run_folder
from mosaic.export import model_garden, saved_model, tflite, tolerances
from mosaic.export.parity import Agreement, EvaluationSplit
from mosaic.export.tflite import INPUT_TYPES, OUTPUTS
from mosaic.export.tolerances import LIMITS, Limit
from mosaic.models import batch_norm, quantization_aware
from mosaic.models.inputs import check_size
from mosaic.tflite.model_file import opened
from mosaic.utils.atomic_io import check_writable
from mosaic.utils.errors import UserError

FORMATS = ("saved_model", "tflite", "garden_checkpoint")


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
            tflite.check_choice(name, value, known)
    check_writable(export_dir)
    source = opened(checkpoint)
    model, dataset, evaluation, loaded = experiment.load_experiment(source)
    quantize = quantize or ("int8" if quantization_aware.is_quantized(model) else "none",)
    if input_type != "uint8" and "int8" not in quantize:
        raise UserError(f"--input_type={input_type} is for int8 files; add --quantize=int8")
    count = min(num_images, dataset.num_images(evaluation.split))
    images = [dataset.example(evaluation.split, index)[0] for index in range(count)]
    if "tflite" in formats:
        size = tuple(size or dataset.image_size or evaluation.padded_size or images[0].shape[:2])
        check_size(model, *size)
        learnt = any(tflite.is_learnt(model, kind) for kind in quantize)
        if "int8" in quantize and not learnt and "train" not in dataset.splits:
            raise UserError(
                f"--quantize=int8 measures ranges on training images, and {dataset.name} has none "
                f"here (only {', '.join(dataset.splits)})"
            )
    split = EvaluationSplit(model, dataset, evaluation) if evaluate else None
    folder = pathlib.Path(export_dir)
    if "garden_checkpoint" in formats:
        if loaded.format == "tflite":
            _calibrate(model, dataset)
        path = model_garden.save(model, str(folder / "garden_checkpoint"), loaded, dataset)
        print(f"{path}: {len(model.variables)} variables, read back equal")
    if "saved_model" in formats:
        path = folder / "saved_model"
        result = saved_model.write(model, images, str(path), dataset, split)
        print(f"{path}: {result}")
        _warn(path, tolerances.of_model(model, "none"), result)
    if "tflite" in formats:

        def representative():
            for index in range(min(64, dataset.num_images("train"))):
                yield dataset.example("train", index)[0]

        for kind in quantize:
            suffix = "float32" if kind == "none" else kind
            if kind == "int8" and input_type != "uint8":
                suffix += f"_{input_type}_input"
            path = folder / f"{model.name}_{suffix}_{output}.tflite"
            result = tflite.write(
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
                run_folder.steps_of(source, loaded),
            )
            megabytes = path.stat().st_size / 1e6
            print(f"{path}: {megabytes:.2f} MB, {size[0]}x{size[1]}, {result}")
            _warn(path, tolerances.of_model(model, kind), result)


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
