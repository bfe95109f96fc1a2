"""Exports compared with the networks that they came from: logits, pixels and mIoU."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.evaluation import loop, memory_check, metrics
from mosaic.evaluation.protocols import Evaluation
from mosaic.export.tolerances import USUAL_LOGIT, Limit
from mosaic.inference import predictors
from mosaic.inference.letterbox import letterbox
from mosaic.inference.predictors import Predictor
from mosaic.utils.errors import RunError, UserError
from mosaic.utils.numbers import number_of
from mosaic.utils.segmentation_dataset import SegmentationDataset, SurveyedDataset


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How an export compares with its network on real images.

    Attributes:
      difference: largest absolute difference of a logit; None for an export of labels.
      mean_difference: mean absolute difference of the logits; None for an export of labels.
      equal: fraction of pixels with the same class, 0 to 1.
      images: number of images that were compared.
      mean_iou: mean IoU (network's, export's) on the evaluation split, 0 to 1; None where not
        scored.
      scored: number of images that both were scored on.
      only_class: index of the class that the network predicts everywhere in the images; None where
        it predicts several.
      largest: largest absolute logit of the network; None for an export of labels.
    """

    difference: float | None
    mean_difference: float | None
    equal: float
    images: int
    mean_iou: tuple[float, float] | None = None
    scored: int = 0
    only_class: int | None = None
    largest: float | None = None

    @property
    def kept(self) -> float | None:
        """The fraction of the network's mIoU that the export keeps; None where there is none."""
        return self.mean_iou[1] / self.mean_iou[0] if self.mean_iou and self.mean_iou[0] else None

    def __str__(self) -> str:
        text = f"{100 * self.equal:.4f} % equal pixels on {number_of(self.images, 'image')}"
        if self.difference is not None:
            text = (
                f"logit difference at most {self.difference:.3g}, {self.mean_difference:.3g} on "
                f"average, {text}"
            )
        if self.mean_iou is not None:
            before, after = (100 * value for value in self.mean_iou)
            kept = "nothing to keep" if self.kept is None else f"{100 * self.kept:.2f} % kept"
            images = number_of(self.scored, "image")
            text += f", mIoU {before:.2f} before and {after:.2f} after on {images} ({kept})"
        return text

    def misses(self, limit: Limit) -> str:
        """Says what the format usually reaches and this export does not; empty if nothing."""
        missed = []
        if self.equal < limit.usual_equal:
            missed.append(f"{100 * limit.usual_equal:g} % equal pixels")
        if self.kept is not None and self.kept < limit.usual_mean_iou:
            missed.append(f"{100 * limit.usual_mean_iou:g} % of the mIoU kept")
        return " and ".join(missed)


class EvaluationSplit:
    """Scores exports and their network on the whole evaluation split.

    The network is scored once for each size that exports have.

    Args:
      model: network of the exports.
      dataset: data set that they are scored on.
      evaluation: settings of the evaluation; its padding is used, but no averages over scales and
        windows.

    Raises:
      UserError: the split has no labelled pixels (of a data set that has counted nothing: raised
        when it is read), or its images cannot fit into memory.
    """

    def __init__(self, model: tf_keras.Model, dataset: SegmentationDataset, evaluation: Evaluation):
        if isinstance(dataset, SurveyedDataset):
            dataset.check_labels(evaluation.split)
        memory_check.check(dataset, memory_check.without_averages(evaluation))
        self._network = predictors.of_network(model)
        self._dataset = dataset
        self._evaluation = evaluation
        self._before: dict[tuple, float] = {}
        self.num_images = dataset.num_images(evaluation.split)

    def mean_iou(self, export: Predictor) -> tuple[float, float]:
        """Returns the mIoU of the network and of an export, 0 to 1.

        Both get images of the size that the export takes. If its predictions are labels, the
        network's predictions are resized as labels too.
        """
        size = export.input_size or self._evaluation.padded_size or self._evaluation.input_size
        argmax_before_resize = self._evaluation.argmax_before_resize or export.num_classes is None
        whole = size is None or tuple(size) == self._dataset.image_size
        key = (None if whole else tuple(size), argmax_before_resize)
        if key not in self._before:
            self._before[key] = self._score(self._network, *key, "score the network")
        return self._before[key], self._score(export, *key, "score the export")

    def _score(self, predictor: Predictor, size, argmax_before_resize: bool, title: str) -> float:
        dataset, evaluation = self._dataset, self._evaluation
        if evaluation.padded_size:
            if argmax_before_resize and predictor.num_classes is not None:
                predictor = _labels_of(predictor)
            padded_size = size or evaluation.padded_size
            predictor = letterbox(predictor, padded_size, evaluation.padding, evaluation.enlarged)
            size = None

        def segment(images, labels):
            return predictor(images, labels.shape[1:3], size, argmax_before_resize)

        ignored = evaluation.ignored_classes(dataset.class_names)
        matrix = loop.ConfusionMatrix(dataset.num_classes)
        loop.run(
            segment,
            dataset,
            evaluation.split,
            [matrix],
            evaluation.batch_size,
            threads=predictor.threads,
            title=title,
        )
        value = metrics.mean_iou(matrix.matrix, ignored)
        if np.isnan(value):
            raise UserError(f"{dataset.name} {evaluation.split}: no labelled pixels to score on")
        return value


def _labels_of(predictor: Predictor) -> Predictor:
    """A predictor of labels, at the size of its input."""
    return Predictor(
        lambda images: predictor(images, argmax_before_resize=True),
        predictor.format,
        None,
        traceable=False,
    )


def check(
    model: tf_keras.Model,
    export: Predictor,
    images: Sequence[np.ndarray],
    limit: Limit,
    path: str,
    split: EvaluationSplit | None = None,
) -> Agreement:
    """Compares an export with its network.

    Args:
      model: network that the export was made from.
      export: predictor of the export, as it was written.
      images: uint8 [height, width, 3] each, of the size that the export takes.
      limit: largest differences that are allowed.
      path: path of the export, for messages.
      split: evaluation split to score both on; None to score neither.

    Raises:
      RunError: the export differs by more than the limit.
    """
    result = _compare(predictors.of_network(model).logits, export.run, images)
    allowed = f"{100 * limit.equal:g} % equal pixels"
    most = np.inf
    if limit.difference is not None:
        most = limit.difference * max(1.0, (result.largest or 0.0) / USUAL_LOGIT)
        allowed += f" and a logit difference of {most:.3g}"
    # Written so that NaN is too far as well.
    too_far = result.difference is not None and not (result.difference <= most)
    if not too_far and result.equal >= limit.equal and split is not None:
        scores = split.mean_iou(export)
        result = dataclasses.replace(result, mean_iou=scores, scored=split.num_images)
        allowed += f" and {100 * limit.mean_iou:g} % of the mIoU"
        too_far = not scores[1] >= limit.mean_iou * scores[0]
    if too_far or result.equal < limit.equal:
        raise RunError(
            f"{path}: the export differs from its network ({result}; asked are {allowed}); "
            "nothing was kept"
        )
    return result


def warn_of_one_class(path: str | os.PathLike, result: Agreement, names: Sequence[str]) -> None:
    """Warns where a network predicts one class everywhere, so that any export of it agrees.

    Args:
      path: path of the export.
      result: result of its check.
      names: names of the classes.
    """
    if result.only_class is not None:
        print(
            f"warning: {path}: the network predicts {names[result.only_class]!r} everywhere in the "
            f"{number_of(result.images, 'image')} of the check, so that equal pixels say little",
            file=sys.stderr,
        )


def _compare(logits: Callable, run: Callable, images: Sequence[np.ndarray]) -> Agreement:
    """Compares predictions with the logits of a network, resized to the predictions' size."""
    largest, total, values, reach = 0.0, 0.0, 0, 0.0
    equal, pixels = 0, 0
    classes: set[int] = set()
    for image in images:
        batch = image[np.newaxis]
        got = np.asarray(run(batch))
        expected = logits(tf.constant(batch), got.shape[1:3]).numpy()
        if got.ndim == 4:
            difference = np.abs(got - expected)
            # `np.max` passes a NaN on, `max` may not.
            largest = float(np.max([largest, np.max(difference)]))
            reach = max(reach, float(np.max(np.abs(expected))))
            total += float(np.sum(difference, dtype=np.float64))
            values += difference.size
            got = np.argmax(got, -1)
        predicted = np.argmax(expected, -1)
        classes.update(np.flatnonzero(np.bincount(predicted.ravel())).tolist())
        same = got == predicted
        equal += int(np.sum(same))
        pixels += same.size
    mean = total / values if values else None
    return Agreement(
        largest if values else None,
        mean,
        equal / pixels,
        len(images),
        only_class=classes.pop() if len(classes) == 1 else None,
        largest=reach if values else None,
    )
