"""Scoring a network: one confusion matrix over all pixels of full-size ground truth."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time

import cv2
import gin
import numpy as np
import tensorflow as tf

from mosaic import metrics, visualize
from mosaic.baselines import baselines
from mosaic.errors import UserError, nearest
from mosaic.files import replacing, write_text
from mosaic.progress import Progress
from mosaic.task import predict

_PUBLISHED = pathlib.Path(__file__).with_name("published.json")


@gin.configurable(module="mosaic")
@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How networks of an experiment are scored, during training and afterwards.

    Attributes:
      split: of the data set.
      batch_size: images in one step, where all have one size; the figures do not depend on it.
      protocol: name of the protocol, for the report. `cityscapes` and `plain` both count all
        pixels of full-size ground truth but the ignored ones, and average the classes that occur.
      published: key in mosaic/published.json of the result that the experiment reproduces.
      num_pictures: images of the split that are shown, evenly spread.
      baselines: also score answers without a network (`mosaic.baselines`), for comparison.
    """

    split: str = "val"
    batch_size: int = 4
    protocol: str = "plain"
    published: str | None = None
    num_pictures: int = 6
    baselines: bool = False


def published_result(key: str) -> dict:
    """Returns a published result by its key.

    Raises:
      UserError: unknown key.
    """
    results = json.loads(_PUBLISHED.read_text())
    if key not in results:
        raise UserError(f"no published result {key!r} in {_PUBLISHED.name}{nearest(key, results)}")
    return results[key]


def evaluate(
    model, dataset, evaluation: Evaluation, checkpoint: str, output_dir: str, command: str = ""
) -> dict:
    """Scores a network and writes report.json, confusion.png and overlays into a folder.

    Args:
      model: from images [batch, height, width, 3] in 0..255 to logits at any stride.
      dataset: a description with batches.
      evaluation: what to score, and how.
      checkpoint: where the weights came from, for the report.
      output_dir: for what is written; each file appears only once it is whole.
      command: that led here, for the report.

    Returns:
      The report.
    """
    matrix = np.zeros([dataset.num_classes] * 2, np.int64)
    total = dataset.num_images(evaluation.split)
    out = pathlib.Path(output_dir)
    chosen = set(np.linspace(0, total - 1, min(evaluation.num_pictures, total)).astype(int))

    @tf.function(reduce_retracing=True)
    def step(images, labels):
        predicted = predict(model, images, labels)
        counts = metrics.count_pixels(labels, predicted, dataset.num_classes, dataset.ignore_label)
        return counts, predicted

    start, done = time.monotonic(), 0
    with Progress(total, "evaluate", "image") as bar:
        for images, labels in dataset.eval_batches(evaluation.split, evaluation.batch_size):
            counts, predicted = step(images, labels)
            matrix += counts.numpy()
            for index in sorted(chosen & set(range(done, done + len(images)))):
                at = index - done
                picture = visualize.overlay(
                    images[at].numpy(), labels[at].numpy(), predicted[at].numpy(), dataset
                )
                name = dataset.image_id(evaluation.split, index)
                write_png(out / "overlays" / f"{name}.png", picture)
            done += len(images)
            bar.update(len(images))
    seconds = time.monotonic() - start
    report = _report(matrix, dataset, evaluation, checkpoint)
    report.update(num_images=done, seconds=round(seconds, 3), command=command)
    if evaluation.baselines:
        report["baselines"] = baselines(dataset, evaluation.split)
    figure = visualize.confusion_figure(matrix, dataset.class_names)
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "confusion.png") as aside:
        figure.savefig(aside, dpi=110)
    write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    return report


def _report(matrix: np.ndarray, dataset, evaluation: Evaluation, checkpoint: str) -> dict:
    ious = metrics.iou(matrix)
    report = {
        "mean_iou": _number(metrics.mean_iou(matrix)),
        "per_class_iou": dict(zip(dataset.class_names, map(_number, ious))),
        "pixel_accuracy": _number(metrics.pixel_accuracy(matrix)),
        "num_images": 0,
        "num_pixels": int(matrix.sum()),
        "protocol": evaluation.protocol,
        "dataset": dataset.name,
        "split": evaluation.split,
        "checkpoint": checkpoint,
        "confusion_matrix": matrix.tolist(),
    }
    if evaluation.published:
        published = published_result(evaluation.published)
        report["published"] = {
            "key": evaluation.published,
            "mean_iou": published["mean_iou"],
            "source": published["source"],
        }
        if report["mean_iou"] is not None:
            report["difference"] = report["mean_iou"] - published["mean_iou"]
    return report


def _number(value: float) -> float | None:
    """JSON has no NaN: a figure that does not exist is null."""
    return None if np.isnan(value) else float(value)


def table(report: dict) -> str:
    """The report as a table for people: IoU and share of the labelled pixels by class."""
    matrix = np.array(report["confusion_matrix"])
    shares = matrix.sum(1) / max(matrix.sum(), 1)
    width = max(map(len, report["per_class_iou"]), default=5)
    rows = [f"{'class':{width}}   IoU, %   pixels, %", "-" * (width + 22)]
    for (name, value), share in zip(report["per_class_iou"].items(), shares):
        shown = "      -" if value is None else f"{100 * value:7.2f}"
        rows.append(f"{name:{width}}  {shown}     {100 * share:7.2f}")
    rows.append("-" * (width + 22))
    mean = report["mean_iou"]
    rows.append(f"{'mean IoU':{width}}  " + ("      -" if mean is None else f"{100 * mean:7.2f}"))
    for name, value in report.get("baselines", {}).items():
        rows.append(f"{name:{width}}  {100 * value:7.2f}   (mIoU without a network)")
    if "published" in report:
        rows.append(f"{'published':{width}}  {100 * report['published']['mean_iou']:7.2f}")
        if "difference" in report:
            rows.append(f"{'difference':{width}}  {100 * report['difference']:+7.2f}")
    return "\n".join(rows)


def write_png(path: pathlib.Path, picture: np.ndarray) -> None:
    """Writes uint8 [height, width, 3] RGB as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise OSError(f"{path}: the picture could not be encoded")
    with replacing(path) as aside:
        aside.write_bytes(data.tobytes())
