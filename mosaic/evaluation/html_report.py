"""The report as a page of HTML that needs no other file and no connection."""

from __future__ import annotations

import functools
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jinja2

if TYPE_CHECKING:
    from mosaic.evaluation.best_and_worst import Example

# Keys of a report with the conditions of the evaluation, besides its `settings`.
CONDITIONS = ("dataset", "split", "protocol", "num_images", "checkpoint", "form", "input_size")
FIGURES = {
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
}
_TONES = {"reproduced": "good", "not reproduced": "bad", "not comparable": "doubtful"}
# Below this fraction a cell of the confusion matrix stays empty.
_VISIBLE = 0.005
_LEVELS = 5
_MISTAKES = 12


def render(report: Mapping, best: Sequence[Example] = (), worst: Sequence[Example] = ()) -> str:
    """Returns the page of one report.

    Args:
      report: report as `evaluate` returns it, or as read from report.json. `verdict`, `published`,
        `settings`, `categories`, `baselines`, `images` and `command` may be absent. `verdict` is
        {"status", "difference" (of the mean IoU, -1 to 1, or None), "departures": [{"setting",
        "here", "published"}], "not_known": [setting]}; `published` may have `per_class_iou` by
        name.
      best: images with the highest mean IoU, the best first.
      worst: images with the lowest mean IoU, the worst first.
    """
    return (
        environment()
        .get_template("report.html")
        .render(
            report=report,
            title=title(report),
            figures=FIGURES,
            verdict=verdict(report),
            classes=_classes(report),
            lacking=report.get("unanswerable_classes", ()),
            matrix=_matrix(report),
            mistakes=_mistakes(report),
            spread=_spread(report),
            galleries=[("Worst images", "worst", worst), ("Best images", "best", best)],
            settings=conditions(report),
        )
    )


@functools.cache
def environment() -> jinja2.Environment:
    """Returns the templates' environment; inserted values are escaped."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("mosaic.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(percent=percent, points=points, plain=plain)
    return templates


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction in percent, without the sign: `77.24`, or a dash for None."""
    return "\N{EN DASH}" if value is None else f"{100 * value:.{digits}f}"


def points(value: float | None) -> str:
    """A difference of fractions in percentage points, with its sign, or a dash for None."""
    if value is None:
        return "\N{EN DASH}"
    return f"{100 * value:+.2f}".replace("-", "\N{MINUS SIGN}")


def plain(value) -> str:
    """A setting's value as readable text."""
    if value is None or value in ("", (), []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)


def title(report: Mapping) -> str:
    """The title of a report: network and split."""
    path = pathlib.PurePath(str(report.get("checkpoint") or "network"))
    # Checkpoints of all runs have the same name; files have not.
    name = path.name if path.suffix else "/".join(path.parts[-2:])
    return f"{name} on {report['dataset']} {report['split']}"


def verdict(report: Mapping) -> dict:
    """The verdict of a report with defaults for missing keys, and the `tone` in which it is shown.

    Without a verdict, the status says whether there is a published result at all.
    """
    given = report.get("verdict") or {}
    published = report.get("published") or {}
    fallback = "not judged" if published else "no published result to compare with"
    status = given.get("status") or fallback
    difference = given.get("difference")
    return {
        "status": status + (", above" if given.get("above") else ""),
        "tone": _TONES.get(status, "neutral"),
        "difference": report.get("difference") if difference is None else difference,
        "departures": given.get("departures") or [],
        "not_known": given.get("not_known") or [],
        "ways": given.get("ways") or [],
        "published": published,
    }


def conditions(report: Mapping) -> dict:
    """All settings of a report by name, those outside of its `settings` first."""
    first = {name: report[name] for name in CONDITIONS if name in report}
    return {**first, **(report.get("settings") or {})}


def _classes(report: Mapping) -> list[dict]:
    """A row per class: IoU, the published IoU, and its fraction of the labelled pixels."""
    published = (report.get("published") or {}).get("per_class_iou") or {}
    labelled = dict(zip(report["class_names"], map(sum, _counts(report))))
    total = sum(labelled.values())
    rows = []
    for name, value in report["per_class_iou"].items():
        theirs = published.get(name)
        known = value is not None and theirs is not None
        rows.append(
            {
                "name": name,
                "iou": value,
                "published": theirs,
                "difference": value - theirs if known else None,
                "share": labelled[name] / total if total else None,
            }
        )
    return rows


def _counts(report: Mapping) -> list[list[int]]:
    """Rows of the confusion matrix, with predictions of no class as the last column."""
    return [
        [*row, other] for row, other in zip(report["confusion_matrix"], report["other_answers"])
    ]


def _matrix(report: Mapping) -> dict:
    """The confusion matrix for the page, as fractions of each true class's pixels."""
    counts, names = _counts(report), list(report["class_names"])
    columns = [*names, "no class"] if any(report["other_answers"]) else names
    rows = []
    for index, (name, row) in enumerate(zip(names, counts)):
        total, cells = sum(row), []
        for column, count in enumerate(row[: len(columns)]):
            fraction = count / total if total else 0.0
            level = min(_LEVELS, 1 + int(fraction * _LEVELS)) if fraction >= _VISIBLE else 0
            kind = ("r" if column == index else "w") + str(level) if level else ""
            cells.append({"kind": kind, "share": fraction, "count": count})
        name = name if name in report["per_class_iou"] else f"{name} (not counted)"
        rows.append({"name": name, "pixels": total, "cells": cells})
    return {"columns": columns, "rows": rows, "overview": _overview(rows)}


def _overview(rows: Sequence[Mapping]) -> list[dict]:
    """The cells of the confusion matrix as SVG paths of unit squares, one path for each shade."""
    squares: dict[str, list[str]] = {}
    for y, row in enumerate(rows):
        for x, cell in enumerate(row["cells"]):
            if cell["kind"]:
                squares.setdefault(cell["kind"], []).append(f"M{x} {y}h1v1h-1z")
    return [
        {
            "color": "right" if kind.startswith("r") else "wrong",
            # Small squares need a stronger colour than cells with a number.
            "opacity": round(0.3 + 0.7 * int(kind[1:]) / _LEVELS, 2),
            "squares": "".join(found),
        }
        for kind, found in sorted(squares.items())
    ]


def _mistakes(report: Mapping) -> list[dict]:
    """The largest confusions, in pixels, of the classes that the protocol counts."""
    names = [*report["class_names"], "no class"]
    counts = [
        row if name in report["per_class_iou"] else [0] * len(row)
        for name, row in zip(names, _counts(report))
    ]
    labelled = sum(map(sum, counts))
    found = [
        (count, row, column)
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
        if count and row != column
    ]
    return [
        {
            "truth": names[row],
            "predicted": names[column],
            "of_class": count / sum(counts[row]),
            "of_all": count / labelled,
        }
        for count, row, column in sorted(found, key=lambda item: -item[0])[:_MISTAKES]
    ]


def _spread(report: Mapping) -> dict | None:
    """Lowest, median and highest mean IoU of single images, or None without images."""
    values = [image["mean_iou"] for image in report.get("images") or []]
    values = [value for value in values if value is not None]
    if not values:
        return None
    return {"lowest": min(values), "median": statistics.median(values), "highest": max(values)}
