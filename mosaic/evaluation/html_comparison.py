"""Several reports side by side, as a page of HTML that needs no other file and no network."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import jinja2

from mosaic.checkpoints.run_record import last_configuration
from mosaic.evaluation import file_costs
from mosaic.evaluation.experiments import SAME, Experiment, differences, experiments, lines, said
from mosaic.evaluation.html_curves import charts, history, run_folder
from mosaic.evaluation.html_report import FIGURES, conditions, environment, percent, plain, verdict
from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import UserError
from mosaic.utils.provenance import command, provenance

FILE, DATA = "compare.html", "compare.json"
_REPORTS = ("report.json", os.path.join("eval", "report.json"))
_COLORS = 6
# Lines of a run's colour; each run after the colours' last begins them anew with other dashes.
_DASHES = ("", "9 5", "2 4", "12 4 2 4")
NOT_RECORDED, NOT_USED = "not recorded", "not used"
# What compare.json has of each run.
_SHOWN = ("name", "checkpoint", "mean_iou", "per_class_iou", "verdict", "training")
# Levels of objects and lists in a report; this project's have six.
_DEEPEST = 50
# What Python and Jinja raise for values of other types than a report has.
_UNSHOWABLE = (
    *(TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError),
    jinja2.TemplateError,
)


def find(path: str) -> str:
    """Returns the report.json that a path names: the file, its folder, or its run's folder.

    Raises:
      UserError: there is none.
    """
    if os.path.isfile(path):
        return path
    if not os.path.isdir(path):
        raise UserError(f"--compare={path}: no such file or folder")
    for name in _REPORTS:
        if os.path.isfile(os.path.join(path, name)):
            return os.path.join(path, name)
    raise UserError(f"--compare={path}: no {' or '.join(_REPORTS)} in it; run eval.py first")


def read(path: str) -> dict:
    """Reads a report.

    Raises:
      UserError: there is no report, or the file is not a report.
    """
    file = find(path)
    try:
        with open(file, encoding="utf-8") as text:
            report = json.load(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: not a report ({reason}); run eval.py again") from None
    fault = _fault(report) or _unshowable(report)
    if fault:
        raise UserError(f"{file}: not a report ({fault}); run eval.py again")
    return report


def _fault(report) -> str | None:
    """Returns why a report cannot be compared, or None if it can."""
    if not isinstance(report, dict):
        return "no JSON object"
    if _depth(report) > _DEEPEST:
        return f"values nested more than {_DEEPEST} levels deep"
    for name in ("mean_iou", "per_class_iou", "dataset", "split"):
        if name not in report:
            return f"no {name!r}"
    for name in ("per_class_iou", "settings", "verdict", "published", "categories"):
        absent = name != "per_class_iou" and report.get(name) is None
        if not (absent or isinstance(report[name], dict)):
            return f"{name!r} is no object"
    metrics = {name: report.get(name) for name in FIGURES}
    if report.get("published"):
        metrics["published mean_iou"] = report["published"].get("mean_iou")
    for name, value in {**metrics, **report["per_class_iou"]}.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and -math.inf < value < math.inf):
            return f"{name!r} is {repr(value)[:50]}, no number"
    return None


def _depth(value) -> int:
    """The number of levels of nested objects and lists, as far as one more than `_DEEPEST`."""
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depth += 1
    return depth


def _unshowable(report: dict) -> str | None:
    """Returns why a report whose figures are good cannot be shown, or None if it can.

    What a report may have besides its figures is only known where it is shown.
    """
    try:
        render([_run("report", report, 0)])
        plain(verdict(report)["status"])
        alone = experiments(["report"], [report])
        differences(alone, [report])
    except _UNSHOWABLE as error:
        return " ".join(str(error).split())[:100] or type(error).__name__
    return None


def _run(
    name: str, report: dict, index: int, folder: pathlib.Path | None = None, file: str | None = None
) -> dict:
    """What the page shows of a report, and of its run's folder where that is still there."""
    checkpoint = str(report.get("checkpoint") or "")
    size = os.path.getsize(checkpoint) if os.path.isfile(checkpoint) else None
    return {
        "name": name,
        "report": report,
        "verdict": verdict(report),
        "settings": {**conditions(report), **({"file_bytes": size} if size else {})},
        "files": file_costs.near(file, report, folder) if file else [],
        "history": history(folder),
        "training": last_configuration(folder) if folder else {},
        "color": index % _COLORS + 1,
        "dashes": _DASHES[index // _COLORS % len(_DASHES)],
    }


def compare(paths: Sequence[str], output_dir: str, original: Callable[[str], str] = str) -> str:
    """Writes compare.html and compare.json from several reports.

    Args:
      paths: paths of at least two reports, as for `find`.
      output_dir: folder for the page.
      original: gives the path of which one is a copy; reports are named after it.

    Returns:
      A table of the runs' names, mean IoU and verdicts, and what chance may do between them.

    Raises:
      UserError: fewer than two reports, one of them twice, or one that cannot be read.
    """
    if len(paths) < 2:
        raise UserError("--compare=RUN: give it at least twice, once for each run")
    reports = [read(path) for path in paths]
    files = [find(path) for path in paths]
    names = _names(files, original)
    folders = [run_folder(file, report) for file, report in zip(files, reports)]
    runs = [
        _run(name, report, index, folder, file)
        for index, (name, report, folder, file) in enumerate(zip(names, reports, folders, files))
    ]
    found = experiments(names, reports)
    pairs = differences(found, reports)
    write_text(os.path.join(output_dir, FILE), render(runs, found, pairs))
    data = {
        **provenance(command()),
        "runs": [
            {
                **{key: run[key] if key == "name" else run["report"].get(key) for key in _SHOWN},
                "files": run["files"],
            }
            for run in runs
        ],
        "experiments": [dataclasses.asdict(one) for one in found],
        "differences": pairs,
    }
    write_text(os.path.join(output_dir, DATA), json.dumps(data, indent=2) + "\n")
    width = max(map(len, names))
    means = [percent(report["mean_iou"]) for report in reports]
    table = [
        f"{run['name']:{width}}  {mean:>6}  {run['verdict']['status']}"
        for run, mean in zip(runs, means)
    ]
    return "\n".join(table + lines(found, pairs))


def _names(files: Sequence[str], original: Callable[[str], str]) -> list[str]:
    """Names that distinguish the reports: their paths without the part that all have in common."""
    files = [original(os.path.realpath(file)) for file in files]
    places = [os.path.dirname(file) for file in files]
    if len(set(files)) < len(files):
        raise UserError("--compare: a report is named twice; leave one out")
    if len(set(places)) < len(places):
        places = files
    # A run's own folder says more than the `eval` in it, as long as the names stay different.
    runs = [os.path.dirname(p) if os.path.basename(p) == "eval" else p for p in places]
    places = runs if len(set(runs)) == len(runs) else places
    if len({p.rpartition("://")[0].partition("/")[0] for p in places}) > 1:
        return places  # on several storages
    common = os.path.commonpath(places)
    return [os.path.basename(p) if p == common else os.path.relpath(p, common) for p in places]


def render(
    runs: Sequence[Mapping],
    found: Sequence[Experiment] = (),
    pairs: Sequence[Mapping] = (),
) -> str:
    """Returns the page of several runs.

    Args:
      runs: runs, each with `name`, `report`, `verdict`, `settings`, `files`, `history`, `training`,
        `color`, a number from 1, and `dashes`, as SVG has them, of its line.
      found: experiments that the runs are of.
      pairs: differences between these.
    """
    reports = [run["report"] for run in runs]
    settings = _rows([run["settings"] for run in runs], NOT_RECORDED)
    for row in settings:
        row["differs"] = len({plain(value) for value in row["values"]}) > 1
    return (
        environment()
        .get_template("compare.html")
        .render(
            runs=runs,
            figures=[
                {"name": label, **_best([report.get(name) for report in reports])}
                for name, label in FIGURES.items()
            ],
            classes=_best_rows([report["per_class_iou"] for report in reports]),
            charts=charts([run["history"] for run in runs]),
            training=_differing([run["training"] for run in runs]),
            categories=_best_rows([report.get("categories") or {} for report in reports]),
            settings=sorted(settings, key=lambda row: not row["differs"]),
            experiments=[one for one in found if one.deviation is not None],
            differences=[{**pair, "said": said(pair)} for pair in pairs],
            unlike=[row["name"] for row in settings if row["name"] in SAME and row["differs"]],
        )
    )


def _rows(tables: Sequence[Mapping], missing=None) -> list[dict]:
    """A row for each name in any of the tables, with each table's value."""
    names = dict.fromkeys(name for table in tables for name in table)
    return [{"name": n, "values": [table.get(n, missing) for table in tables]} for n in names]


def _differing(tables: Sequence[Mapping]) -> list[dict]:
    """The rows of `_rows` in which the runs that are known differ, sorted by name."""
    owners = [{name.rpartition(".")[0] for name in table} for table in tables]
    found = []
    for name in sorted({name for table in tables for name in table}):
        values = [
            table.get(
                name, NOT_USED if own and name.rpartition(".")[0] not in own else NOT_RECORDED
            )
            for table, own in zip(tables, owners)
        ]
        if len({plain(value) for value, table in zip(values, tables) if table}) > 1:
            found.append({"name": name, "values": values})
    return found


def _best_rows(tables: Sequence[Mapping]) -> list[dict]:
    return [{**row, **_best(row["values"])} for row in _rows(tables)]


def _best(values: Sequence[float | None]) -> dict:
    """Values, and which of them are the highest; none where all are equal."""
    known = [value for value in values if value is not None]
    alike = len(set(known)) < 2
    return {
        "values": list(values),
        "best": [not alike and value == max(known) for value in values],
    }
