"""The cost of exported files, side by side: computation, latency, memory, operators."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
import sys
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from mosaic.benchmark import file_cost, operator_profile, peak_memory
from mosaic.benchmark.android import DELEGATES, Phone, PhoneResult
from mosaic.benchmark.file_cost import FileCost
from mosaic.benchmark.latency import Latency, interleaved
from mosaic.benchmark.scores import of_files
from mosaic.inference import image_files
from mosaic.inference.file_predictors import SavedModelPredictor, TFLitePredictor
from mosaic.inference.predictors import Predictor, fit_image
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.archives import is_archive
from mosaic.utils.errors import UserError, check_regular, nearest
from mosaic.utils.model_format import format_of, other_format
from mosaic.utils.progress import Progress
from mosaic.utils.run_layout import CONFIG
from mosaic.utils.settings import THREADS, between

# Runs whose times are kept, and images, which are kept in memory and take turns in them.
_MOST_RUNS, _MOST_PICTURES = 1_000_000, 64


@dataclasses.dataclass(frozen=True)
class Result:
    """All measurements of one model.

    Attributes:
      name: name of its file, or its path where two files have the same name.
      path: path of the file or folder.
      format: format of the model, `tflite` or `saved_model`.
      input_size: (height, width) of the image, in pixels.
      cost: size, parameters and multiply-adds.
      latency: latency on this machine.
      ratio: ratio of its median latency to that of the first model.
      peak_memory: peak memory above that of the bare interpreter, in bytes; None where the system
        does not report it.
      mean_iou: mean IoU, 0 to 1, or None where it is not known.
      operators: profile by operator; None where there is none.
      phone: measurements on the phone, one for each delegate; empty where there are none.
      plain_kernels: whether XNNPACK refuses the file, so that TensorFlow Lite's slower kernels ran
        it.
    """

    name: str
    path: str
    format: str
    input_size: tuple[int, int]
    cost: FileCost
    latency: Latency
    ratio: float
    peak_memory: int | None
    mean_iou: float | None = None
    operators: list[operator_profile.Operator] | None = None
    phone: Sequence[PhoneResult] = ()
    plain_kernels: bool = False


def benchmark(
    paths: Sequence[str],
    images: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    threads: int = 2,
    runs: int = 50,
    warmup: int = 5,
    scores: Sequence[str] = (),
    profile: bool = False,
    delegates: Sequence[str] = (),
    allow_code: bool = False,
) -> list[Result]:
    """Measures models.

    Args:
      paths: paths of TFLite files and SavedModel folders.
      images: paths of images, folders or videos, of which up to 64 images are taken; noise if there
        are none.
      size: (height, width) of images, in pixels, for models that take any; if None, that of the
        first model that takes only one, or else the first image's own.
      threads: number of threads for each TFLite file; for SavedModels see `use_threads`.
      runs: number of timed runs of each model, up to a million.
      warmup: number of runs before them, up to a million.
      scores: texts `MODEL=VALUE`: a model's path or name, and its mIoU, 0 to 1, or the path of the
        `report.json` that has it. Reports that `scores.of_files` finds need not be named.
      profile: whether the operators of TFLite files are timed too.
      delegates: where TFLite files are measured on the connected phone too, keys of
        `android.DELEGATES`; none without a phone.
      allow_code: whether SavedModels may use files and run code, see `SavedModelPredictor`.

    Raises:
      UserError: a model, an image or a score cannot be read, or there is no phone.
    """
    if not paths:
        raise UserError("name the models: MODEL [MODEL ...]")
    check_numbers(threads, runs, warmup)
    _check(paths)
    for name in delegates:
        if name not in DELEGATES:
            raise UserError(f"--delegates={name}: not one of {', '.join(DELEGATES)}")
    names = _names(paths)
    known = {**of_files(paths), **dict(_score(text, paths, names) for text in scores)}
    phone = Phone() if delegates else None
    predictors = [_load(path, threads, allow_code) for path in paths]
    _check_size(size, names, predictors)
    pictures = _pictures(images, min(runs + warmup, _MOST_PICTURES))
    size = size or _size(predictors, pictures)
    if not pictures:
        pictures = [np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)]
    latencies = interleaved(predictors, pictures, size, runs, warmup)
    results = []
    with Progress(len(paths), "measure memory", "model") as bar:
        for name, path, predictor, latency in zip(names, paths, predictors, latencies):
            own = predictor.input_size or size
            results.append(
                Result(
                    name,
                    path,
                    predictor.format,
                    own,
                    _cost(predictor, path, own, allow_code),
                    latency,
                    latency.median / latencies[0].median,
                    peak_memory.measure(path, own, threads, allow_code),
                    known.get(path),
                    plain_kernels=not getattr(predictor, "has_delegate", True),
                )
            )
            bar.update(1)
    own = {i: p for i, p in enumerate(predictors) if isinstance(p, TFLitePredictor)}
    if profile:
        for index, predictor in _shown(own.items(), "profile"):
            fed = predictor.values(fit_image(pictures[0], results[index].input_size))
            found = operator_profile.profile(predictor.file, fed, threads, runs)
            results[index] = dataclasses.replace(results[index], operators=found)
    if phone:
        for index in _shown(own, f"measure on {phone.name}"):
            found = phone.measure(results[index].path, threads, runs, warmup, delegates)
            results[index] = dataclasses.replace(results[index], phone=found)
    return results


def _shown(items: Collection, what: str) -> Iterator:
    """Yields items, one for each model, and shows how many are done."""
    with Progress(len(items), what, "model") as bar:
        yield from bar.over(items)


def check_numbers(threads: int, runs: int, warmup: int) -> None:
    """Raises a UserError for a number of threads or runs that cannot be measured."""
    for flag, value, taken in (
        ("threads", threads, THREADS),
        ("runs", runs, between(1, _MOST_RUNS)),
        ("warmup", warmup, between(0, _MOST_RUNS)),
    ):
        if not taken.check(value):
            raise UserError(f"--{flag}={value}: it must be {taken.says}")


def _check(paths: Sequence[str]) -> None:
    """Refuses files that cannot be measured, before anything is loaded."""
    for path in paths:
        if not os.path.exists(path):
            raise UserError(f"{path}: no such file or folder")
        if os.path.isfile(os.path.join(path, CONFIG)):
            raise UserError(f"{path}: a run; --model_dir={path} exports and measures it")
        if format_of(path) == "network" or is_archive(path):
            what = "neither a .tflite file nor a SavedModel folder; see export.py --help"
            raise UserError(f"{path}: {other_format(path) or what}")


def _check_size(
    size: tuple[int, int] | None, names: Sequence[str], predictors: Sequence[Predictor]
) -> None:
    """Refuses a size that no model takes; tells of models that have another one."""
    sizes = [predictor.input_size for predictor in predictors]
    other = [(name, own) for name, own in zip(names, sizes) if own not in (None, size)]
    if not size or not other:
        return
    told = ", ".join(f"{name} takes images of {h}x{w} only" for name, (h, w) in other)
    line = f"--size={size[0]}x{size[1]}: {told}"
    if len(other) == len(predictors):
        raise UserError(f"{line}; leave it out")
    print(f"warning: {line}", file=sys.stderr)


def _size(predictors, pictures) -> tuple[int, int]:
    """(height, width) of the first model that takes only one, or else of the first image."""
    fixed = (predictor.input_size for predictor in predictors)
    size = next(filter(None, fixed), pictures[0].shape[:2] if pictures else None)
    if not size:
        raise UserError("the models take any size: give --size=HEIGHTxWIDTH or --images")
    return size


def _names(paths: Sequence[str]) -> list[str]:
    short = [pathlib.Path(path).name for path in paths]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise UserError(f"{twice}: named twice")
    return [name if short.count(name) == 1 else path for name, path in zip(short, paths)]


def _score(text: str, paths: Sequence[str], names: Sequence[str]) -> tuple[str, float]:
    """A model's path and its mIoU."""
    model, equals, value = text.rpartition("=")
    if not equals:
        raise UserError(f"--scores={text}: write MODEL=MIOU or MODEL=report.json")
    matches = [p for p, name in zip(paths, names) if model in (p, name, pathlib.Path(name).stem)]
    if not matches:
        raise UserError(f"--scores={text}: no model is called {model!r}{nearest(model, names)}")
    if value.endswith(".json"):
        check_regular(value)
        try:
            value = json.loads(pathlib.Path(value).read_text())["mean_iou"]
        except OSError as error:
            raise UserError(f"--scores={text}: {error.strerror}") from None
        except (ValueError, LookupError, TypeError, RecursionError):
            raise UserError(f"--scores={text}: {value} is no report with a mean_iou") from None
    try:
        score = float(value)
    except (TypeError, ValueError):
        raise UserError(f"--scores={text}: {value} is neither a number nor a .json file") from None
    if not 0.0 <= score <= 1.0:
        raise UserError(f"--scores={text}: an mIoU is from 0 to 1")
    return matches[0], score


def _load(path: str, threads: int, allow_code: bool) -> Predictor:
    if format_of(path) == "tflite":
        # A model without normalisation inside takes as long for images that are not normalised.
        return TFLitePredictor(TFLiteModel.open(path), "none", threads)
    return SavedModelPredictor(path, allow_code)


def _cost(predictor: Predictor, path: str, size: tuple[int, int], allow_code: bool) -> FileCost:
    if isinstance(predictor, TFLitePredictor):
        return file_cost.of_tflite(predictor.file, size)
    return file_cost.of_saved_model(path, size, allow_code)


def _pictures(images: Sequence[str], most: int) -> list[np.ndarray]:
    """At most `most` images, uint8 [height, width, 3] each."""
    frames = itertools.chain.from_iterable(map(image_files.read, image_files.find(images)))
    return [picture for _, picture in itertools.islice(frames, most)]
