"""A run's losses, learning rate and evaluations as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from mosaic.utils.atomic_io import replacing

# Number of points above which a line is thin, and its running mean stands out.
_MANY = 60
# Part of the points that the running mean is taken over.
_SPAN = 1 / 30


def draw(entries: Sequence[dict], path: str | os.PathLike) -> None:
    """Draws the training loss and the learning rate, and below them the validation mIoU.

    Args:
      entries: entries of a run's `History`.
      path: path of the PNG.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    losses = [e for e in entries if "loss" in e]
    scores = [e for e in entries if "mean_iou" in e]
    figure = Figure(figsize=(8, 6), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    _loss(upper, losses)
    _rate(upper.twinx(), losses)
    _scores(lower, scores)
    lower.set_xlabel("step")
    # From the start on, so that a single evaluation stands at its place in the run.
    lower.set_xlim(0, 1.02 * max((e["step"] for e in entries), default=1) or 1)
    lower.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    lower.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    for axis in (upper, lower):
        axis.grid(axis="y", alpha=0.3)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=120)


def _loss(axis, losses: Sequence[dict]) -> None:
    steps, values = [e["step"] for e in losses], [e["loss"] for e in losses]
    many = len(values) > _MANY
    style = {"linewidth": 0.8, "alpha": 0.4} if many else {"marker": ".", "markersize": 6}
    axis.plot(steps, values, color="tab:blue", **style)
    if many:
        axis.plot(steps, running_mean(values), color="tab:blue", linewidth=1.8)
    if values:
        # The first losses of a network without training would squeeze all others.
        high = np.percentile(values, 99) if many else max(values)
        axis.set_ylim(0, 1.1 * high or 1)
    axis.set_ylabel("training loss", color="tab:blue")


def _rate(axis, losses: Sequence[dict]) -> None:
    known = [e for e in losses if "learning_rate" in e]
    steps, rates = [e["step"] for e in known], [e["learning_rate"] for e in known]
    marker = {"marker": ".", "markersize": 6} if len(rates) < 2 else {}
    axis.plot(steps, rates, color="tab:gray", linewidth=1.2, linestyle="--", **marker)
    axis.set_ylim(0, 1.1 * max(rates, default=0) or 1)
    axis.set_ylabel("learning rate (dashed)", color="tab:gray")


def _scores(axis, scores: Sequence[dict]) -> None:
    axis.set_ylabel("validation mIoU, %", color="tab:orange")
    if not scores:
        return
    steps, values = [e["step"] for e in scores], [100 * e["mean_iou"] for e in scores]
    marker = {"marker": "o", "markersize": 4} if len(values) <= _MANY else {}
    axis.plot(steps, values, color="tab:orange", **marker)
    best = int(np.argmax(values))
    # Whole, also at 0 or 100 %.
    star = {"marker": "*", "markersize": 14, "clip_on": False, "zorder": 3}
    axis.plot(steps[best], values[best], color="tab:red", **star)
    axis.set_title(f"best {values[best]:.2f} % at step {steps[best]:,}", fontsize=10)
    low, high = min(values), max(values)
    margin = max(0.15 * (high - low), 1.0)
    axis.set_ylim(max(low - margin, 0), min(high + margin, 100))


def running_mean(values: Sequence[float]) -> np.ndarray:
    """Returns the mean of each value and its neighbours, as many on either side."""
    half = max(1, round(len(values) * _SPAN / 2))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    reach = np.minimum(half, np.minimum(at, len(values) - 1 - at))
    return (sums[at + reach + 1] - sums[at - reach]) / (2 * reach + 1)
