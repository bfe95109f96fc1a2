"""Exports of a checkpoint: SavedModel, TFLite files and Model Garden checkpoint, each checked."""

from __future__ import annotations

import functools
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import tf_keras

from mosaic import experiment
from mosaic.checkpoints import origin, run_folder
from mosaic.evaluation.protocols import Evaluation
from mosaic.export import checkpoint as checkpoint_format
from mosaic.export import model_garden, saved_model, tflite, tolerances
from mosaic.export.parity import Agreement, EvaluationSplit, warn_of_one_class
from mosaic.export.tflite import INPUT_TYPES, OUTPUTS
from mosaic.export.tolerances import LIMITS, Limit
from mosaic.models import batch_norm, quantization_aware
from mosaic.models.inputs import check_size
from mosaic.models.variables import Variables
from mosaic.storage import copies
from mosaic.tflite.model_file import TFLiteModel, opened
from mosaic.utils import memory
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import UserError
from mosaic.utils.progress import Progress
from mosaic.utils.segmentation_dataset import SegmentationDataset

FORMATS = ("saved_model", "tflite", "checkpoint", "garden_checkpoint")
# Number of training images that ranges and statistics are measured on.
_MEASURED = 64


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
    photographs: Sequence[str] = (),
    classes: Classes | None = None,
) -> dict[str, Agreement]:
    """Exports the configured experiment's network with a checkpoint's weights.

    Args:
      checkpoint: path of a checkpoint, as for `loading.load`.
      export_dir: folder for saved_model/, {network}_{quantize}_{output}.tflite, with float32 for
        `none` (with int8 input {network}_int8_int8_input_{output}.tflite), checkpoint/ and
        garden_checkpoint/.
      formats: formats to export, of `FORMATS`.
      quantize: quantization of each TFLite file, or `all` for a file of each kind; if None, one
        file with `none`, or with `int8` for a network of quantization-aware training.
      size: (height, width) of the TFLite files' input, in pixels; if None, that at which the
        experiment evaluates, or the size of training's crops where images differ in size.
      output: output of the TFLite files, one of `OUTPUTS`.
      num_images: number of images of the evaluation split on which each export is checked.
      input_type: input type of int8 TFLite files, one of `INPUT_TYPES`.
      evaluate: whether each export and the network are scored on the whole evaluation split too.
      photographs: paths of images and folders that take the place of the experiment's data set, for
        checks and for ranges.
      classes: names and colours of the classes, with photographs; None for those that the
        checkpoint names, or else numbers.

    Returns:
      How the SavedModel and each TFLite file compare with the network, by their path.

    Raises:
      UserError: an export is not possible with these arguments; nothing is written.
      RunError: an export differs from the network by more than its limit, and is not kept.
    """
    for name, values, known in (
        ("format", formats, FORMATS),
        ("output", [output], OUTPUTS),
        ("input_type", [input_type], INPUT_TYPES),
        ("quantize", quantize or (), (*LIMITS, "all")),
    ):
        for value in values:
            tflite.check_choice(name, value, known)
    copies.check_writable(export_dir)
    source = opened(checkpoint)
    if photographs:
        found = experiment.load_with_photographs(source, photographs, classes, size)
    else:
        found = experiment.load_experiment(source)
    model, dataset, evaluation, loaded = found
    if "garden_checkpoint" in formats:
        model_garden.check(model, os.path.join(export_dir, "garden_checkpoint"))
    learnt = quantization_aware.is_quantized(model)
    quantize = quantize or ("int8" if learnt else "none",)
    if "all" in quantize:
        quantize = ("int8",) if learnt else tuple(LIMITS)
    if input_type != "uint8" and "int8" not in quantize:
        raise UserError(f"--input_type={input_type} is for int8 files; add --quantize=int8")
    count = min(num_images, dataset.num_images(evaluation.split))
    images = [dataset.example(evaluation.split, index)[0] for index in range(count)]
    files = []
    if "tflite" in formats:
        size = tuple(size or _common_size(dataset, evaluation))
        files = [tflite.TFLiteOptions(size, output, kind, input_type) for kind in quantize]
        _check_files(model, dataset, files)
    split = EvaluationSplit(model, dataset, evaluation) if evaluate else None
    record = origin.for_export(source, loaded.step)
    folder, results = pathlib.Path(export_dir), {}
    _write_checkpoints(model, folder, formats, source, loaded, dataset, record)
    if "saved_model" in formats:
        path = folder / "saved_model"
        result = saved_model.write(model, images, str(path), dataset, split, record)
        print(f"{path}: {result}")
        _warn(path, tolerances.of_model(model, "none"), result, dataset)
        results[str(path)] = result
    representative = functools.partial(_training_images, dataset)
    steps = run_folder.steps_of(source, loaded)
    for options in files:
        path = folder / f"{model.name}_{options.suffix}.tflite"
        result = tflite.write(
            model, images, str(path), options, representative, dataset, split, steps, record
        )
        megabytes = path.stat().st_size / 1e6
        print(f"{path}: {megabytes:.2f} MB, {size[0]}x{size[1]}, {result}")
        _warn(path, tolerances.of_model(model, options.quantize), result, dataset)
        tolerances.warn_of_unsettled(path, model)
        results[str(path)] = result
    return results


def _write_checkpoints(
    model: tf_keras.Model,
    folder: pathlib.Path,
    formats: Sequence[str],
    source: str | TFLiteModel,
    loaded: Variables,
    dataset: SegmentationDataset,
    record: str | None,
) -> None:
    """Writes the formats that are checkpoints, with statistics that a TFLite file lacks."""
    if loaded.format == "tflite" and {"checkpoint", "garden_checkpoint"} & set(formats):
        _calibrate(model, dataset)
    if "checkpoint" in formats:
        saved = None if isinstance(source, TFLiteModel) else run_folder.saved_configuration(source)
        path = checkpoint_format.save(
            model, str(folder / "checkpoint"), loaded, dataset, saved, record
        )
        print(f"{path}: {len(model.variables)} variables, read back equal")
    if "garden_checkpoint" in formats:
        path = str(folder / "garden_checkpoint")
        path = model_garden.save(model, path, loaded, dataset, record)
        print(f"{path}: {len(model.variables)} variables, read back equal")


def _common_size(dataset: SegmentationDataset, evaluation: Evaluation) -> tuple[int, int]:
    """The size of TFLite files for which none was given: never that of a chance image.

    Raises:
      UserError: images differ in size, and there is no training to take one from; or that of the
        evaluation cannot fit into memory.
    """
    if scored := next(evaluation.sizes(), None):
        setting, size = scored
        memory.check_size(f"{setting} = {size}", size)
        return size
    if dataset.image_size:
        return dataset.image_size
    if dataset.augment is None:
        raise UserError(f"the images of {dataset.name} differ in size; give --size=HEIGHTxWIDTH")
    height, width = dataset.crop_size
    print(
        f"the images of {dataset.name} differ in size: TFLite files take that of training's crops, "
        f"{height}x{width} (--size gives another)"
    )
    return height, width


def _check_files(
    model: tf_keras.Model, dataset: SegmentationDataset, files: Sequence[tflite.TFLiteOptions]
) -> None:
    """Checks before any work that TFLite files with these options are possible.

    Raises:
      UserError: one of them is not.
    """
    for options in files:
        check_size(model, *options.size)
        memory.check_size(f"TFLite files of {'x'.join(map(str, options.size))}", options.size)
        learnt = tflite.is_learnt(model, options.quantize)
        if options.is_int8 and not learnt and "train" not in dataset.splits:
            raise UserError(
                f"--quantize=int8 measures ranges on training images, and {dataset.name} has none "
                f"here (only {', '.join(dataset.splits)})"
            )


def _training_images(dataset: SegmentationDataset) -> Iterator[np.ndarray]:
    """Images to measure ranges and statistics on; none without a training split."""
    count = min(_MEASURED, dataset.num_images("train")) if "train" in dataset.splits else 0
    with Progress(count, "measure ranges", "image") as bar:
        for index in bar.over(range(count)):
            yield dataset.example("train", index)[0]


def _calibrate(model, dataset) -> None:
    """Measures batch norm's statistics of a network from a TFLite file, for further training."""
    fitting = [image for image in _training_images(dataset) if _takes(model, image)]
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


def _warn(
    path: pathlib.Path, limit: Limit, result: Agreement, dataset: SegmentationDataset
) -> None:
    warn_of_one_class(path, result, dataset.class_names)
    if missed := result.misses(limit):
        print(f"warning: {path}: exports of this format usually have {missed}", file=sys.stderr)
