"""Scoring a network: one confusion matrix over all pixels of full-size ground truth."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mosaic.evaluation import (
    answer_warnings,
    answerable,
    garden_protocol,
    image_counts,
    loop,
    metrics,
    size_check,
)
from mosaic.evaluation import published as results
from mosaic.evaluation.baselines import Baselines
from mosaic.evaluation.best_and_worst import BestAndWorst
from mosaic.evaluation.html_report import render
from mosaic.evaluation.observers import ImageScores, Overlays, Submission
from mosaic.evaluation.protocols import Evaluation
from mosaic.evaluation.run_departures import Found
from mosaic.inference.letterbox import letterbox
from mosaic.inference.multiscale import average
from mosaic.inference.predictors import Predictor
from mosaic.utils import visualize
from mosaic.utils.atomic_io import replacing, write_text
from mosaic.utils.provenance import provenance
from mosaic.utils.segmentation_dataset import SegmentationDataset


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a network comes from, for the report.

    Attributes:
      checkpoint: path of the file or folder with its weights.
      command: command that was run.
      network: further settings of the network or file, such as `normalization`.
      recipe: settings of its training, by gin parameter; None for weights trained elsewhere.
      training: differences of its training from the published one, and what is not known of it.
      is_garden: whether the weights are those that the Model Garden published.
      run: what is known of the run of this project that the network is from: `experiment`, a digest
        that runs share which differ in seeds alone, `seed` and `steps`; None for others.
    """

    checkpoint: str
    command: str = ""
    network: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: Mapping[str, Any] | None = None
    training: Found = dataclasses.field(default_factory=Found)
    is_garden: bool = False
    run: Mapping[str, Any] | None = None


def evaluate(
    predictor: Predictor,
    dataset: SegmentationDataset,
    evaluation: Evaluation,
    origin: Origin,
    output_dir: str,
    submission_dir: str | None = None,
) -> dict:
    """Scores a predictor; writes report.json, report.html, confusion.png and overlays.

    Args:
      predictor: predictor to score.
      dataset: data set to score it on.
      evaluation: settings of the evaluation.
      origin: origin of the network, for the report.
      output_dir: folder for the files; each appears only once it is complete.
      submission_dir: folder for predictions in the format of official scorers and benchmark servers
        (`observers.Submission`); None to write none.

    Returns:
      The report.

    Raises:
      UserError: a setting does not fit the data set or the predictor.
    """
    size_check.check(predictor, dataset, evaluation)
    baselines = Baselines(dataset) if evaluation.baselines else None
    taken, devices = predictor.input_size, len(predictor.copies)
    num_images = dataset.num_images(evaluation.split)
    out = pathlib.Path(output_dir)
    matrix = loop.ConfusionMatrix(dataset.num_classes)
    scores = ImageScores()
    extremes = BestAndWorst(evaluation.num_best_and_worst, num_images, dataset)
    observers = [matrix, scores, extremes]
    observers.append(Overlays(out / "overlays", evaluation.num_pictures, num_images, dataset))
    observers += [Submission(submission_dir, dataset)] if submission_dir else []
    observers += [baselines] if baselines else []
    ignored = evaluation.ignored_classes(dataset.class_names)
    start = time.monotonic()
    segment = _everywhere(predictor, dataset, evaluation)
    predictor = _as_configured(predictor, evaluation)
    threads = predictor.threads * max(1, devices)
    done = loop.run(
        segment,
        dataset,
        evaluation.split,
        observers,
        evaluation.batch_size,
        ignored,
        threads,
    )
    seconds = time.monotonic() - start
    report = _report(matrix.matrix, dataset, evaluation, origin.checkpoint)
    if evaluation.class_map is None:
        answer_warnings.tell_other_answers(report)
    answer_warnings.tell_only_answer(matrix.matrix, dataset)
    report.update(num_images=done, seconds=round(seconds, 3), images=scores.entries)
    report["image_counts"] = image_counts.pack(scores.outcomes)
    report.update(training=origin.run, **provenance(origin.command))
    report["settings"] = _settings(report, predictor, taken, dataset, evaluation, origin.network)
    if evaluation.published:
        protocol = results.result(evaluation.published).get("garden_protocol")
        if protocol and origin.is_garden and evaluation.garden_protocol:
            report["garden_protocol"] = garden_protocol.score(
                segment, dataset, evaluation, protocol, threads
            )
        report.update(_comparison(report, evaluation.published, origin))
    if baselines:
        report["baselines"] = baselines.mean_iou(ignored)
    _write(report, matrix.matrix, extremes, dataset, out)
    return report


def _as_configured(predictor: Predictor, evaluation: Evaluation) -> Predictor:
    """A predictor with the padding, scales, mirroring and windows of an evaluation."""

    def padded(inner: Predictor) -> Predictor:
        if not evaluation.padded_size:
            return inner
        return letterbox(inner, evaluation.padded_size, evaluation.padding, evaluation.enlarged)

    def averaged(inner: Predictor) -> Predictor:
        if tuple(evaluation.scales) == (1.0,) and not (evaluation.flip or evaluation.window):
            return inner
        return average(
            inner, evaluation.scales, evaluation.flip, evaluation.window, evaluation.overlap
        )

    # An image that is enlarged to one size would lose its scale again.
    return averaged(padded(predictor)) if evaluation.enlarged else padded(averaged(predictor))


def _everywhere(
    predictor: Predictor, dataset: SegmentationDataset, evaluation: Evaluation
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """What `segmenting` returns for a predictor as configured, on each of its devices."""
    segments = []
    for device, copy in predictor.copies or ((None, predictor),):
        with tf.device(device):
            configured = _as_configured(copy, evaluation)
            segments.append((device, segmenting(configured, dataset, evaluation)))
    return loop.side_by_side(segments, predictor.threads)


def segmenting(
    predictor: Predictor, dataset: SegmentationDataset, evaluation: Evaluation
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns a function from images and labels to predictions in the data set's classes.

    Predictions have the labels' size; the number of classes stands for none of them.
    """
    classes = dataset.num_classes
    table = tf.constant(_class_table(evaluation.class_map, classes))
    is_known = evaluation.class_map is None and predictor.num_classes == classes

    @tf.function(reduce_retracing=True)
    def mapped(predicted):
        known = tf.logical_and(predicted >= 0, predicted < len(table))
        return tf.where(known, tf.gather(table, tf.where(known, predicted, 0)), classes)

    def segment(images, labels):
        predicted = predictor(
            images, labels.shape[1:3], evaluation.input_size, evaluation.argmax_before_resize
        )
        return predicted if is_known else mapped(predicted)

    return segment


def _class_table(class_map: Sequence[int] | None, classes: int) -> np.ndarray:
    """The data set's class for each class of the network, int32; `classes` for none."""
    table = np.arange(classes) if class_map is None else np.array(class_map)
    return np.where((table >= 0) & (table < classes), table, classes).astype(np.int32)


def _comparison(report: Mapping, key: str, origin: Origin) -> dict:
    """The part of a report about the published result that its experiment reproduces."""
    precision = report["settings"].get("numbers", "float32")
    published = results.for_precision(results.result(key), precision, report["mean_iou"])
    verdict = results.verdict(
        published,
        report["mean_iou"],
        report["settings"],
        origin.recipe,
        origin.training.departures,
        origin.training.not_known,
        report.get("garden_protocol", {}).get("mean_iou"),
    )
    shown = {k: published[k] for k in ("mean_iou", "source", "per_class_iou") if k in published}
    found = {"published": {"key": key, **shown}, "verdict": verdict}
    if report["mean_iou"] is not None:
        found["difference"] = verdict["difference"]
    return found


def _write(
    report: Mapping,
    matrix: np.ndarray,
    extremes: BestAndWorst,
    dataset: SegmentationDataset,
    out: pathlib.Path,
) -> None:
    """Writes the confusion matrix's picture, and the report for programs and for people."""
    figure = visualize.confusion_figure(matrix[:, : dataset.num_classes], dataset.class_names)
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "confusion.png") as aside:
        figure.savefig(aside, dpi=110)
    write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    write_text(out / "report.html", render(report, extremes.best, extremes.worst))


def _report(matrix: np.ndarray, dataset, evaluation: Evaluation, checkpoint: str) -> dict:
    ignored = evaluation.ignored_classes(dataset.class_names)
    ious = dict(zip(dataset.class_names, map(metrics.number, metrics.iou(matrix, ignored))))
    for index in ignored:
        del ious[dataset.class_names[index]]
    classes = dataset.num_classes
    report = {
        "mean_iou": metrics.number(metrics.mean_iou(matrix, ignored)),
        "per_class_iou": ious,
        # The mean is over these: classes in the truth or predicted.
        "num_classes_that_occur": sum(value is not None for value in ious.values()),
        "pixel_accuracy": metrics.number(metrics.pixel_accuracy(matrix, ignored)),
        "mean_accuracy": metrics.number(metrics.mean_accuracy(matrix, ignored)),
        "frequency_weighted_iou": metrics.number(metrics.frequency_weighted_iou(matrix, ignored)),
        **metrics.category_metrics(matrix, dataset.categories),
        "num_images": 0,
        "num_pixels": int(matrix.sum()),
        "protocol": evaluation.protocol,
        "dataset": dataset.name,
        "split": evaluation.split,
        "checkpoint": checkpoint,
        "class_names": list(dataset.class_names),
        "confusion_matrix": matrix[:, :classes].tolist(),
        # By true class: predictions of no class of the data set.
        "other_answers": matrix[:, classes].tolist(),
    }
    return {**report, **answerable.figures(report, evaluation.class_map)}


def _settings(
    report: dict, predictor, taken, dataset, evaluation: Evaluation, network: Mapping
) -> dict:
    """All settings that metrics depend on, by their names in published.json and older reports.

    `taken` is the only size that the model itself takes, or None.
    """
    truth = dataset.image_size
    size = taken or evaluation.padded_size or evaluation.input_size or truth
    return {
        "dataset": dataset.name,
        "split": evaluation.split,
        "num_images": report["num_images"],
        "truth_size": truth and list(truth),
        "input_size": list(size) if size else None,
        "padded": bool(evaluation.padded_size),
        "enlarged": bool(evaluation.padded_size and evaluation.enlarged),
        "padding": list(evaluation.padding) if evaluation.padded_size else None,
        "protocol": evaluation.protocol,
        "scales": list(evaluation.scales),
        "flip": evaluation.flip,
        "window": evaluation.window and list(evaluation.window),
        "overlap": evaluation.overlap if evaluation.window else None,
        # By its name, where it has one.
        "class_map": getattr(evaluation.class_map, "name", None)
        or (evaluation.class_map and list(evaluation.class_map)),
        # Predictions of padded images are resized to the images' size in one step.
        "labels_first": predictor.num_classes is None
        or (evaluation.argmax_before_resize and not evaluation.padded_size),
        "form": predictor.format,
        **network,
    }
