"""A report as a table of text."""

from __future__ import annotations

import numpy as np

from mosaic.evaluation import published as results


def table(report: dict) -> str:
    """Returns the report as a table: IoU and fraction of the labelled pixels of each class."""
    pixels = np.array(report["confusion_matrix"]).sum(1) + np.array(report["other_answers"])
    fractions = dict(zip(report["class_names"], pixels / max(pixels.sum(), 1)))
    width = max(map(len, report["per_class_iou"]), default=5)
    rows = [f"{'class':{width}}   IoU, %   pixels, %", "-" * (width + 22)]
    lacking = report.get("unanswerable_classes", ())
    for name, value in report["per_class_iou"].items():
        mark = "   no answer" if name in lacking else ""
        rows.append(f"{name:{width}}  {_percent(value)}    {100 * fractions[name]:7.2f}{mark}")
    rows.append("-" * (width + 22))
    row = f"{'mean IoU':{width}}  {_percent(report['mean_iou'])}"
    ious = report["per_class_iou"].values()
    occurring = sum(value is not None for value in ious)
    if occurring < len(ious):
        row += f"   ({occurring} of {len(ious)} classes occur)"
    rows.append(row)
    if lacking:
        text = _percent(report["mean_iou_answerable"])
        rows.append(f"{'':{width}}  {text}   (without {len(lacking)} it has no answer for)")
    for name, value in report.get("baselines", {}).items():
        rows.append(f"{name:{width}}  {_percent(value)}   (mIoU without a network)")
    if "published" in report:
        rows.append(f"{'published':{width}}  {_percent(report['published']['mean_iou'])}")
        rows += results.lines(report["verdict"])
    return "\n".join(rows)


def _percent(value: float | None) -> str:
    return "      -" if value is None else f"{100 * value:7.2f}"
