"""Records of a run, one JSON object a line: the metrics at each step."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import time

from mosaic.utils.atomic_io import replacing, write_text


class History:
    """A record of a run, such as `history.jsonl`.

    Its training entries have `step`, `loss` (the mean since the last entry, at full precision) and
    `learning_rate`; evaluation entries `step`, `mean_iou` and `iou`, by class name.

    Args:
      path: path of the file.
      step: step where training continues; records of an interrupted run after it are dropped, since
        these steps will be repeated.
    """

    def __init__(self, path: str | os.PathLike, step: int):
        self.path = pathlib.Path(path)
        self.entries = [entry for entry in _read(self.path) if entry["step"] <= step]
        write_text(self.path, "".join(json.dumps(entry) + "\n" for entry in self.entries))

    def add(self, **entry) -> None:
        """Appends an entry."""
        self.entries.append(entry)
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def evaluated(self, step: int) -> bool:
        """Whether there is an evaluation of that step."""
        return any(e["step"] == step and "mean_iou" in e for e in self.entries)

    def draw(self, path: str | os.PathLike) -> None:
        """Draws the loss and the validation mIoU over the steps, as a PNG."""
        from matplotlib.figure import Figure

        losses = [e for e in self.entries if "loss" in e]
        scores = [e for e in self.entries if "mean_iou" in e]
        figure = Figure(figsize=(8, 4), layout="constrained")
        axis = figure.subplots()
        axis.plot([e["step"] for e in losses], [e["loss"] for e in losses], color="tab:blue")
        axis.set(xlabel="step", ylabel="training loss", ylim=(0, None))
        axis.yaxis.label.set_color("tab:blue")
        if scores:
            right = axis.twinx()
            points = [e["step"] for e in scores], [100 * e["mean_iou"] for e in scores]
            right.plot(*points, color="tab:orange", marker="o", markersize=3)
            right.set(ylabel="validation mIoU, %", ylim=(0, 100))
            right.yaxis.label.set_color("tab:orange")
        with replacing(path) as aside:
            figure.savefig(aside, dpi=120)


class Times(History):
    """`times.jsonl` of a run: its times, apart from the metrics, which repeat exactly.

    Entries have `step`, `seconds` (since the start of the run; when it was resumed, work that was
    lost and the time in between do not count) and, at the end of a block of steps, the block's
    `images_per_second`.

    Args:
      path: path of the file.
      step: step where training continues, see `History`.
    """

    def __init__(self, path: str | os.PathLike, step: int):
        super().__init__(path, step)
        self._start = time.monotonic() - (self.entries[-1]["seconds"] if self.entries else 0.0)

    def note(self, step: int, **figures: float) -> None:
        """Appends an entry with the time so far."""
        self.add(step=step, seconds=round(time.monotonic() - self._start, 3), **figures)


def summary(history: History, times: Times) -> dict:
    """Returns the results of a run, and its time.

    Returns:
      `best` and `final`, evaluations as in `history`; and where the times of the whole run are
      known, `seconds` and `images_per_second`, by `median` and the quartiles `lower` and `upper`.
    """
    scores = [entry for entry in history.entries if "mean_iou" in entry]
    found = {"best": max(scores, key=lambda entry: entry["mean_iou"]), "final": scores[-1]}
    rates = [e["images_per_second"] for e in times.entries if "images_per_second" in e]
    if len(rates) < 2 or times.entries[0]["step"] > history.entries[0]["step"]:
        return found
    lower, median, upper = statistics.quantiles(rates, n=4, method="inclusive")
    rate = {"median": median, "lower": lower, "upper": upper}
    return {**found, "seconds": times.entries[-1]["seconds"], "images_per_second": rate}


def _read(path: pathlib.Path) -> list[dict]:
    """Reads the complete lines; the last may have been cut off when the process was killed."""
    entries = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries
