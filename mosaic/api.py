"""What the commands do, for use from Python: load, segment, build, train, score and export.

Gin's configuration is global: each function here begins with an empty one and leaves an empty one.
Errors that a user can fix are `UserError`, one line that names the thing and the fix.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gin
import numpy as np
import tf_keras

from mosaic import cli, config
from mosaic.evaluation import score_checkpoint
from mosaic.experiment import as_configured, load_predictor
from mosaic.export import export_checkpoint
from mosaic.inference import any_size, image_files, model_classes, prediction_files
from mosaic.inference.predictors import Predictor
from mosaic.tflite.model_file import opened
from mosaic.training import train_loop, warm_up
from mosaic.utils import visualize
from mosaic.utils.call_arguments import as_paths, as_size, as_text
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import UserError

Image = np.ndarray | str | os.PathLike


def _told(function: Callable) -> Callable:
    """Lets errors that a user can fix out as UserErrors, in the line that commands print."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            code, line = cli.explain(error)
            if code != 2:
                raise
            raise UserError(line) from None

    return call


@contextlib.contextmanager
def _configured(
    files: Sequence[str],
    settings: Mapping[str, Any] | None,
    data_dir: str | os.PathLike | None = None,
    unneeded: Sequence[str] = (),
) -> Iterator[list[str]]:
    """In its block gin is configured as by a command; yields the bindings."""
    arguments = [f"--gin.{name}={as_text(value)}" for name, value in (settings or {}).items()]
    _, bindings = cli.split_bindings(arguments)
    gin.clear_config()
    try:
        cli.configure(files, bindings, None if data_dir is None else str(data_dir), unneeded)
        yield bindings
    finally:
        gin.clear_config()


class Segmenter:
    """A loaded network or file that segments images; made by `load`.

    Attributes:
      classes: names and colours of its classes.
    """

    def __init__(
        self,
        predictor: Predictor,
        classes: Classes | None,
        size: tuple[int, int] | None,
        tile: tuple[int, int] | None,
        path: str,
    ):
        self._predictor, self._size, self._tile, self._path = predictor, size, tile, path
        self._named = classes
        self.classes = classes or Classes.numbered(predictor.num_classes or 256)

    def __repr__(self) -> str:
        return f"<Segmenter of {self._path}: {len(self.classes.class_names)} classes>"

    @_told
    def __call__(self, image: Image) -> np.ndarray:
        """Segments an image.

        Args:
          image: uint8 RGB [height, width, 3], or the path of an image file.

        Returns:
          Class indices, uint8 [height, width], of the image's own size.

        Raises:
          UserError: it is no such image, or too small for the network.
        """
        return any_size.segment(
            self._predictor, image_files.pixels(image), self._size, self._tile
        ).labels

    @_told
    def confidence(self, image: Image) -> np.ndarray:
        """Returns the probability of each pixel's class, uint8 [height, width], 255 for 1.

        Args:
          image: image as for a call.

        Raises:
          UserError: as for a call; or the model gives class indices alone.
        """
        any_size.check_gives_confidence(self._predictor)
        found = any_size.segment(
            self._predictor, image_files.pixels(image), self._size, self._tile, True
        )
        return found.confidence

    @_told
    def predict(
        self,
        images: str | os.PathLike | Sequence[str | os.PathLike],
        output_dir: str | os.PathLike,
        confidence: bool = False,
        frames: bool = True,
    ) -> int:
        """Segments files and writes what `predict.py` does.

        Args:
          images: images, folders, videos, patterns and lists, as for `predict.py --images`; or one.
          output_dir: folder for the files.
          confidence: whether to write confidence maps as well.
          frames: whether to write pictures of each frame of a video.

        Returns:
          The number of images.

        Raises:
          UserError: as `prediction_files.predict`.
        """
        options = prediction_files.Options(self._size, self._tile, confidence, frames)
        sources = image_files.find(as_paths(images))
        return prediction_files.predict(
            self._predictor, sources, os.fspath(output_dir), self._named, options
        )

    @_told
    def overlay(self, image: Image, labels: np.ndarray | None = None) -> np.ndarray:
        """Draws an image beside its classes, over a legend.

        Args:
          image: image as for a call.
          labels: class indices [height, width]; those of a call if None.

        Returns:
          uint8 RGB [height + legend, 2 * width, 3].

        Raises:
          UserError: as for a call; or the labels are no class indices of the image's size.
        """
        pixels = image_files.pixels(image)
        if labels is None:
            labels = self(pixels)
        labels = np.asarray(labels)
        if labels.shape != pixels.shape[:2] or labels.dtype.kind not in "iu":
            height, width = pixels.shape[:2]
            raise UserError(
                f"labels of {labels.dtype} {list(labels.shape)}: give whole numbers [{height}, "
                f"{width}], of the image's size"
            )
        return visualize.overlay(pixels, None, labels, self.classes)


@_told
def load(
    path: str | os.PathLike,
    experiment: str | None = None,
    settings: Mapping[str, Any] | None = None,
    size: tuple[int, int] | None = None,
    normalization: str | None = None,
    allow_code: bool = False,
    tile: tuple[int, int] | None = None,
) -> Segmenter:
    """Loads a model of any form: a run, a checkpoint, a SavedModel or a TFLite file.

    Args:
      path: path of the model, as for `predict.py --model`.
      experiment: name or path of the gin file of a checkpoint without one of its own.
      settings: values of macros and parameters, as `--gin.NAME=VALUE`.
      size: (height, width) that images are resized to for the network; None for that at which its
        experiment scores, or else the image's own.
      normalization: what a TFLite file without normalisation inside expects.
      allow_code: whether code that comes with the model may run.
      tile: (height, width) of overlapping tiles that larger images are cut into; None for 1536x1536
        where the model sees images at their own size and they have more than 2048x2048 pixels.

    Raises:
      UserError: there is no such model, or it cannot be loaded; or a size is not valid.
    """
    size, tile = as_size("size", size), as_size("tile", tile)
    path, files = cli.find_model(os.fspath(path), [experiment] if experiment else [], allow_code)
    model = opened(path)
    context = _configured(files, settings, None, cli.NO_DATA) if files else contextlib.nullcontext()
    with context:
        predictor, _ = load_predictor(model, normalization, allow_code=allow_code)
        if files and not size:
            predictor, size = as_configured(predictor)
    return Segmenter(predictor, model_classes.find(model), size, tile, path)


@_told
def build(experiment: str, settings: Mapping[str, Any] | None = None) -> tf_keras.Model:
    """Builds an experiment's network, with initial weights.

    Args:
      experiment: name in configs/ or path of a gin file.
      settings: values of macros and parameters, as `--gin.NAME=VALUE`.

    Returns:
      A network from RGB images in 0..255, [batch, height, width, 3], to logits.
    """
    with _configured([config.find(experiment)], settings, None, cli.NO_DATA):
        return config.build("train.model")


@_told
def train(
    experiment: str,
    model_dir: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Trains as `train.py` does, or goes on where the run in `model_dir` stopped.

    Args:
      experiment: name in configs/ or path of a gin file.
      model_dir: folder of the run.
      data_dir: folder of the data set.
      settings: values of macros and parameters, as `--gin.NAME=VALUE`.
    """
    files = [config.find(experiment)]
    with _configured(files, settings, data_dir) as bindings:
        warm_up.limit(files, bindings)
        train_loop.run(os.fspath(model_dir))


@_told
def score(
    path: str | os.PathLike,
    output_dir: str | os.PathLike,
    experiment: str | None = None,
    data_dir: str | os.PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    split: str | None = None,
) -> dict:
    """Scores a model on a data set as `eval.py` does, and writes the report.

    Args:
      path: path of the model, or of a run.
      output_dir: folder for the report.
      experiment: name or path of the gin file whose data and protocol count; None for a run's own.
      data_dir: folder of the data set; None for a run's own.
      settings: values of macros and parameters, as `--gin.NAME=VALUE`.
      split: split to score; None for the experiment's.

    Returns:
      The report, as in report.json: `mean_iou` (0 to 1), `per_class_iou` and more.
    """
    path, files = _with_experiment(path, experiment)
    with _configured(files, settings, data_dir, cli.NOT_TRAINING):
        return score_checkpoint.score(path, os.fspath(output_dir), split)


@_told
def export_model(
    path: str | os.PathLike,
    export_dir: str | os.PathLike,
    experiment: str | None = None,
    data_dir: str | os.PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    images: str | os.PathLike | Sequence[str | os.PathLike] = (),
    **options: Any,
) -> None:
    """Exports a checkpoint as `export.py` does; each export is checked before it gets its name.

    Args:
      path: path of a checkpoint, of a TFLite file with its weights, or of a run.
      export_dir: folder for the exports.
      experiment: name or path of the gin file of the network; None for a run's own.
      data_dir: folder of the data set; None for a run's own.
      settings: values of macros and parameters, as `--gin.NAME=VALUE`.
      images: photographs, or folders of them, in the place of a data set; or one.
      **options: `formats`, `quantize`, `size`, `output`, `input_type` and `evaluate` of
        `export_checkpoint.export_checkpoint`.
    """
    for name in ("formats", "quantize"):
        if isinstance(options.get(name), str):
            options[name] = [options[name]]
    options["size"] = as_size("size", options.get("size"))
    path, files = _with_experiment(path, experiment)
    photographs = as_paths(images)
    unneeded = cli.NO_DATA if photographs else cli.NOT_TRAINING
    with _configured(files, settings, data_dir, unneeded):
        export_checkpoint.export_checkpoint(
            path, os.fspath(export_dir), photographs=photographs, **options
        )


def _with_experiment(path: str | os.PathLike, experiment: str | None) -> tuple[str, list[str]]:
    path, files = cli.find_model(os.fspath(path), [experiment] if experiment else [])
    if not files and not experiment:
        raise UserError(f"{path}: give the experiment whose data counts, such as 'mosaic_folders'")
    return path, files or [config.find(experiment)]
