"""Scoring a network: one confusion matrix over all pixels of full-size ground truth."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from mosaic.evaluation import metrics
from mosaic.evaluation import published as results
from mosaic.evaluation.ahead import ahead
from mosaic.evaluation.baselines import baselines
from mosaic.evaluation.best_and_worst import Extremes
from mosaic.evaluation.html_report import render
from mosaic.inference.letterbox import letterbox
from mosaic.inference.multiscale import average
from mosaic.inference.predictors import Predictor
from mosaic.models.inputs import NORMALIZATIONS
from mosaic.utils import visualize
from mosaic.utils.atomic_io import replacing, write_text
from mosaic.utils.errors import UserError, check_positive, nearest
from mosaic.utils.progress import Progress
from mosaic.utils.provenance import provenance

# The classes of each protocol, by name, whose pixels count nowhere in the truth.
PROTOCOLS = {"plain": (), "cityscapes": (), "ade20k": (), "mlperf_ade20k_top31": ("other",)}


@gin.configurable(module="mosaic")
@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How networks of an experiment are scored, during training and afterwards.

    From `scales` on they are for scoring afterwards; in training, images go in as they are.

    Attributes:
      split: of the data set.
      batch_size: images in one step, where all have one size; the figures do not depend on it.
      protocol: a key of `PROTOCOLS`. All count every pixel of full-size ground truth but the
        ignored ones in one confusion matrix, and average the classes that occur.
        `mlperf_ade20k_top31` leaves out pixels of no class in the truth, while an answer of no
        class is a false negative (MLPerf Mobile).
      published: key in published.json of the result that the experiment reproduces.
      num_pictures: images of the split of which overlays are written, evenly spread.
      num_extremes: best and worst images, of each so many, that report.html shows.
      baselines: also score answers without a network (`mosaic.evaluation.baselines`), for
        comparison.
      scales: of the images, whose probabilities are averaged; (1.0,) is plain.
      flip: also average with the mirrored image's.
      window: (height, width) of sliding windows, or None for whole images.
      overlap: least share of a window in common with the next.
      input_size: (height, width) that images are resized to for the network; None leaves them.
      padded_size: (height, width) that images are scaled to fit into, keeping their aspect, and
        padded to (`mosaic.inference.letterbox`), or the model's own where it takes one only; None
        leaves them.
      padding: level of that padding by channel, 0 to 255.
      labels_first: see `mosaic.inference.predictors.Predictor`.
      class_map: for a network with other classes than the data set's: for each of its classes the
        index of the data set's class that it stands for, or -1 for none: a wrong answer.
    """

    split: str = "val"
    batch_size: int = 4
    protocol: str = "plain"
    published: str | None = None
    num_pictures: int = 6
    num_extremes: int = 4
    baselines: bool = False
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    window: Sequence[int] | None = None
    overlap: float = 1 / 3
    input_size: Sequence[int] | None = None
    padded_size: Sequence[int] | None = None
    padding: Sequence[float] = NORMALIZATIONS["imagenet"][0]
    labels_first: bool = False
    class_map: Sequence[int] | None = None

    def __post_init__(self):
        check_positive("Evaluation", batch_size=self.batch_size)

    def uncounted(self, class_names: Sequence[str]) -> list[int]:
        """Returns the indices of the classes whose pixels the protocol leaves out of the truth.

        Raises:
          UserError: there is no such protocol.
        """
        if self.protocol not in PROTOCOLS:
            raise UserError(f"no protocol {self.protocol!r}{nearest(self.protocol, PROTOCOLS)}")
        return [i for i, name in enumerate(class_names) if name in PROTOCOLS[self.protocol]]


def evaluate(
    predictor: Predictor,
    dataset,
    evaluation: Evaluation,
    checkpoint: str,
    output_dir: str,
    command: str = "",
    network: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    submission_dir: str | None = None,
) -> dict:
    """Scores what segments; writes report.json, report.html, confusion.png and overlays.

    Args:
      predictor: of images [batch, height, width, 3].
      dataset: a description with batches.
      evaluation: what to score, and how.
      checkpoint: where the weights came from, for the report.
      output_dir: for what is written; each file appears only once it is whole.
      command: that led here, for the report.
      network: further settings of what segments, such as `normalization`, for the report.
      recipe: how it was trained, by gin parameter; None for weights trained elsewhere.
      submission_dir: receives each prediction as ID.png, with the values of the data set's own
        label files (Cityscapes: label ids), at the ground truth's size: what official scorers and
        benchmark servers take. Answers that are no class of the data set become 0.

    Returns:
      The report.
    """
    if evaluation.baselines and "train" not in dataset.splits:
        raise UserError(
            f"Evaluation.baselines learn from training images, and {dataset.name} has none here"
        )
    published = evaluation.published and results.result(evaluation.published)
    taken = predictor.input_size
    if evaluation.padded_size:
        predictor = letterbox(predictor, evaluation.padded_size, evaluation.padding)
    if tuple(evaluation.scales) != (1.0,) or evaluation.flip or evaluation.window:
        predictor = average(
            predictor, evaluation.scales, evaluation.flip, evaluation.window, evaluation.overlap
        )
    classes = dataset.num_classes
    matrix = np.zeros([classes, classes + 1], np.int64)
    total = dataset.num_images(evaluation.split)
    out = pathlib.Path(output_dir)
    chosen = set(np.linspace(0, total - 1, min(evaluation.num_pictures, total)).astype(int))
    table = tf.constant(_answers(evaluation.class_map, classes))
    is_known = evaluation.class_map is None and predictor.num_classes == classes
    values = np.array([*dataset.label_values, 0], np.uint8)

    @tf.function(reduce_retracing=True)
    def count(labels, predicted):
        """Counts [batch, classes, classes + 1] and answers in the data set's classes."""
        if not is_known:
            known = tf.logical_and(predicted >= 0, predicted < len(table))
            predicted = tf.where(known, tf.gather(table, tf.where(known, predicted, 0)), classes)

        def count_image(pair):
            return metrics.count_pixels(*pair, classes, dataset.ignore_label, True)

        return tf.map_fn(count_image, (labels, predicted), fn_output_signature=tf.int64), predicted

    def segment(images, labels):
        predicted = predictor(
            images, labels.shape[1:3], evaluation.input_size, evaluation.labels_first
        )
        counts, predicted = count(labels, predicted)
        return images, labels, predicted, counts

    uncounted = evaluation.uncounted(dataset.class_names)
    extremes, listed = Extremes(evaluation.num_extremes, total, dataset), []
    start, done = time.monotonic(), 0
    with Progress(total, "evaluate", "image") as bar:
        batches = dataset.eval_batches(evaluation.split, evaluation.batch_size)
        for images, labels, predicted, counts in ahead(segment, batches, predictor.threads):
            for at, image_counts in enumerate(counts.numpy()):
                matrix += image_counts
                name = dataset.image_id(evaluation.split, done + at)
                value = _number(metrics.mean_iou(image_counts, uncounted))
                listed.append({"id": name, "mean_iou": value})
                overlaid, extreme = done + at in chosen, extremes.takes(value)
                if overlaid or extreme:
                    shown = [part[at].numpy() for part in (images, labels, predicted)]
                if overlaid:
                    picture = visualize.overlay(*shown, dataset)
                    visualize.write_png(out / "overlays" / f"{name}.png", picture)
                if extreme:
                    extremes.add(name, value, *shown)
                if submission_dir:
                    answer = values[predicted[at].numpy()]
                    visualize.write_png(pathlib.Path(submission_dir) / f"{name}.png", answer)
            done += len(images)
            bar.update(len(images))
    seconds = time.monotonic() - start
    report = _report(matrix, dataset, evaluation, checkpoint)
    report.update(num_images=done, seconds=round(seconds, 3), images=listed, **provenance(command))
    report["settings"] = _settings(report, predictor, taken, dataset, evaluation, network or {})
    if published:
        numbers = report["settings"].get("numbers", "float32")
        published = results.for_numbers(published, numbers, report["mean_iou"])
        report["published"] = {
            "key": evaluation.published,
            **{k: published[k] for k in ("mean_iou", "source", "per_class_iou") if k in published},
        }
        report["verdict"] = results.verdict(
            published, report["mean_iou"], report["settings"], recipe
        )
        if report["mean_iou"] is not None:
            report["difference"] = report["verdict"]["difference"]
    if evaluation.baselines:
        found = baselines(dataset, evaluation.split, uncounted)
        report["baselines"] = {name: _number(value) for name, value in found.items()}
    figure = visualize.confusion_figure(matrix[:, :classes], dataset.class_names)
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "confusion.png") as aside:
        figure.savefig(aside, dpi=110)
    write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    write_text(out / "report.html", render(report, extremes.best, extremes.worst))
    return report


def _answers(class_map: Sequence[int] | None, classes: int) -> np.ndarray:
    """The data set's class for each answer, int32; `classes` for none."""
    table = np.arange(classes) if class_map is None else np.array(class_map)
    return np.where((table >= 0) & (table < classes), table, classes).astype(np.int32)


def _report(matrix: np.ndarray, dataset, evaluation: Evaluation, checkpoint: str) -> dict:
    uncounted = evaluation.uncounted(dataset.class_names)
    ious = dict(zip(dataset.class_names, map(_number, metrics.iou(matrix, uncounted))))
    for index in uncounted:
        del ious[dataset.class_names[index]]
    classes = dataset.num_classes
    report = {
        "mean_iou": _number(metrics.mean_iou(matrix, uncounted)),
        "per_class_iou": ious,
        "pixel_accuracy": _number(metrics.pixel_accuracy(matrix, uncounted)),
        "mean_accuracy": _number(metrics.mean_accuracy(matrix, uncounted)),
        "frequency_weighted_iou": _number(metrics.frequency_weighted_iou(matrix, uncounted)),
        **_category_figures(matrix, dataset.categories),
        "num_images": 0,
        "num_pixels": int(matrix.sum()),
        "protocol": evaluation.protocol,
        "dataset": dataset.name,
        "split": evaluation.split,
        "checkpoint": checkpoint,
        "class_names": list(dataset.class_names),
        "confusion_matrix": matrix[:, :classes].tolist(),
        # By true class: answers that are no class of the data set.
        "other_answers": matrix[:, classes].tolist(),
    }
    return report


def _category_figures(matrix: np.ndarray, categories: Sequence[str]) -> dict:
    if not categories:
        return {}
    ious = {k: _number(v) for k, v in metrics.category_iou(matrix, categories).items()}
    there = [value for value in ious.values() if value is not None]
    return {"mean_category_iou": float(np.mean(there)) if there else None, "categories": ious}


def _settings(
    report: dict, predictor, taken, dataset, evaluation: Evaluation, network: Mapping
) -> dict:
    """All that a figure depends on, by the names in published.json.

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
        "padding": list(evaluation.padding) if evaluation.padded_size else None,
        "protocol": evaluation.protocol,
        "scales": list(evaluation.scales),
        "flip": evaluation.flip,
        "window": evaluation.window and list(evaluation.window),
        "overlap": evaluation.overlap if evaluation.window else None,
        "class_map": evaluation.class_map and list(evaluation.class_map),
        # Answers of padded images go to the images' size in one step.
        "labels_first": predictor.num_classes is None
        or (evaluation.labels_first and not evaluation.padded_size),
        "form": predictor.form,
        **network,
    }


def _number(value: float) -> float | None:
    """JSON has no NaN: a figure that does not exist is null."""
    return None if np.isnan(value) else float(value)


def table(report: dict) -> str:
    """The report as a table for people: IoU and share of the labelled pixels by class."""
    pixels = np.array(report["confusion_matrix"]).sum(1) + np.array(report["other_answers"])
    shares = dict(zip(report["class_names"], pixels / max(pixels.sum(), 1)))
    width = max(map(len, report["per_class_iou"]), default=5)
    rows = [f"{'class':{width}}   IoU, %   pixels, %", "-" * (width + 22)]
    for name, value in report["per_class_iou"].items():
        text = "      -" if value is None else f"{100 * value:7.2f}"
        rows.append(f"{name:{width}}  {text}    {100 * shares[name]:7.2f}")
    rows.append("-" * (width + 22))
    mean = report["mean_iou"]
    rows.append(f"{'mean IoU':{width}}  " + ("      -" if mean is None else f"{100 * mean:7.2f}"))
    for name, value in report.get("baselines", {}).items():
        rows.append(f"{name:{width}}  {100 * value:7.2f}   (mIoU without a network)")
    if "published" in report:
        rows.append(f"{'published':{width}}  {100 * report['published']['mean_iou']:7.2f}")
        rows += results.lines(report["verdict"])
    return "\n".join(rows)
