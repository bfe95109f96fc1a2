"""Latency of TFLite files and SavedModels, measured in turn on the same images."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.inference.predictors import Predictor, fit_image
from mosaic.utils.progress import Progress

# Distance of the quartiles, as a fraction of the median, from which the machine counts as loaded:
# alone, it is some hundredths.
_DISTURBED = 0.15


def use_threads(threads: int) -> None:
    """Limits TensorFlow, which runs SavedModels, to a number of threads, before it starts."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


@dataclasses.dataclass(frozen=True)
class Latency:
    """Time for one image, in milliseconds.

    Attributes:
      median: median of all runs.
      lower: lower quartile.
      upper: upper quartile.
      least: fastest run.
      percentile_90: time that nine of ten runs keep to; None in reports that lack it.
    """

    median: float
    lower: float
    upper: float
    least: float
    percentile_90: float | None = None

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """Returns the latency of runs, from their times in seconds."""
        milliseconds = 1e3 * np.asarray(seconds)
        lower, median, upper, slow = np.percentile(milliseconds, (25, 50, 75, 90)).tolist()
        return cls(median, lower, upper, float(milliseconds.min()), slow)

    @property
    def is_disturbed(self) -> bool:
        """Whether the quartiles are so far apart that something else was at work."""
        return self.upper - self.lower > _DISTURBED * self.median


def interleaved(
    predictors: Sequence[Predictor],
    images: Sequence[np.ndarray],
    size: tuple[int, int],
    runs: int,
    warmup: int,
) -> list[Latency]:
    """Runs each model once, then each again, so that a slow machine slows all models alike.

    Only the computation is timed: for a TFLite file `Interpreter.invoke`, after the image was
    copied to its input; for a SavedModel the call of its signature on one image, with a conversion
    to float.

    Args:
      predictors: predictors of TFLite files and SavedModels.
      images: uint8 [height, width, 3] each; every model gets the same one in the same round.
      size: (height, width) of the images, in pixels, for models that take any size.
      runs: number of timed rounds.
      warmup: number of rounds before them.

    Returns:
      The latency of each predictor.
    """
    fitted = [[fit_image(image, p.input_size or size) for image in images] for p in predictors]
    preparations = [_preparation(predictor) for predictor in predictors]
    seconds: list[list[float]] = [[] for _ in predictors]
    with Progress(warmup + runs, "measure", "round") as bar:
        for round_ in range(warmup + runs):
            for prepare, pictures, times in zip(preparations, fitted, seconds):
                compute = prepare(pictures[round_ % len(pictures)])
                start = time.perf_counter()
                compute()
                times.append(time.perf_counter() - start)
            bar.update(1)
    return [Latency.of(times[warmup:]) for times in seconds]


def _preparation(predictor: Predictor) -> Callable[[np.ndarray], Callable]:
    """A function that prepares an image and returns the computation to be timed."""

    def prepare(image):
        if isinstance(predictor, TFLitePredictor):
            predictor.feed(image)
            return predictor.invoke
        batch = tf.constant(image[np.newaxis])
        return lambda: predictor.compute(batch).numpy()

    return prepare
