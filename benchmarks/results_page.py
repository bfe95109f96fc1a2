r"""docs/RESULTS.md: every figure from a record of what was measured, none of them typed.

python benchmarks/results_page.py add runs/camvid/training.json --as mosaic_camvid.train
python benchmarks/results_page.py add OUT/report.json --as mosaic_camvid.val \
      --word CAMVID=/data/camvid
python benchmarks/results_page.py write

`add` keeps a measurement's figures in docs/results: eval.py's report.json, train.py's
training.json, benchmark.py's benchmark.json, what benchmarks/ write with --output, and what tests
record (`pytest --junitxml=FILE`). Words take the place of the machine's own paths. `write` renders
docs/RESULTS.md.jinja with them.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence

import jinja2

import common
from measurement_records import DOCS, add, read
from mosaic.evaluation.html_report import percent, points
from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import UserError


def environment(docs: pathlib.Path) -> jinja2.Environment:
    """Returns what renders pages of the documentation from the templates beside them."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(docs),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(docs: pathlib.Path = DOCS) -> str:
    """Returns RESULTS.md.

    Raises:
      UserError: the template names a record or a measurement that does not exist.
    """
    templates = environment(docs)
    templates.filters.update(percent=percent, points=points, duration=duration, number=number)
    records = read(docs)
    experiments: dict[str, list[str]] = {}
    for name, _, kind in (name.rpartition(".") for name in records):
        if kind == "train" and f"{name}.val" in records:
            experiments.setdefault(records[f"{name}.train"]["dataset"], []).append(name)
    try:
        return templates.get_template("RESULTS.md.jinja").render(
            records=records,
            experiments=experiments,
            comparison=lambda names: table([_row(name, records) for name in names]),
            machines=_machines(records),
        )
    except jinja2.TemplateError as error:
        raise UserError(f"{docs}/RESULTS.md.jinja: {error.message}; add what it names") from None


def _row(name: str, records: Mapping[str, dict]) -> dict[str, str | None]:
    """An experiment's cells in the table of comparison; None for missing measurements."""
    training, test = records[f"{name}.train"], records.get(f"{name}.test")
    models = records.get(f"{name}.tflite", {}).get("models", [])
    latencies = {
        kind: f"{model['latency_ms']['median']:.2f}"
        for model in models
        for kind in ("float32", "int8")
        if f"_{kind}_" in model["name"]
    }
    seconds = training.get("seconds")
    return {
        "experiment": f"`{name}`",
        "mIoU on val, %": percent(records[f"{name}.val"]["mean_iou"]),
        "mIoU on test, %": test and percent(test["mean_iou"]),
        "parameters": number(training["parameters"]),
        "multiply-adds": number(training["multiply_adds"]),
        "ms, float32": latencies.get("float32"),
        "ms, int8": latencies.get("int8"),
        "steps": number(training["steps"]),
        "training": seconds and duration(seconds),
        "by": f"`{training['command']}`",
    }


def _machines(records: Mapping[str, dict]) -> list[str]:
    """The machines and versions of all records, each once."""
    found = [record["machine"] for record in records.values() if "machine" in record]
    lines = [
        f"{m['cores']} cores of {m['processor']} ({m['architecture']}; "
        f"{', '.join(m['instructions'])}), {m['memory_gib']} GiB; Python {m['python']}, "
        f"TensorFlow {m['tensorflow']}, ai-edge-litert {m['ai_edge_litert']}"
        for m in found
    ]
    return list(dict.fromkeys(lines))


def table(rows: Sequence[Mapping[str, str | None]]) -> str:
    """Returns rows as a Markdown table: a dash for None, without columns that are all None."""
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)] if rows else []
    values = ([row[name] or "-" for name in names] for row in rows)
    cells = [names, ["---"] * len(names), *values]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def number(value: float, digits: int = 0) -> str:
    """Returns `1,234.5`, or `1.2e-7` where so few digits would show nothing."""
    if 0 < abs(value) < 10**-digits:
        return f"{value:.1e}".replace("e-0", "e-")
    return f"{value:,.{digits}f}"


def duration(seconds: float) -> str:
    """Returns `45 s`, `3 min 23 s` and, from ten minutes on, `79 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 10:
        return f"{round(seconds / 60)} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def main(arguments: Sequence[str]) -> int:
    """Runs one of the two commands; returns the exit code."""
    parser = argparse.ArgumentParser("results_page.py", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="task", required=True)
    adding = commands.add_parser("add", help="keep the figures of a measurement")
    adding.add_argument("path", help="report.json, training.json, benchmark.json, JUnit XML, ...")
    adding.add_argument("--as", dest="name", required=True, help="such as mosaic_camvid.val")
    adding.add_argument("--word", action="append", default=[], help="WORD=PATH; repeatable")
    commands.add_parser("write", help="render docs/RESULTS.md")
    values = parser.parse_args(arguments)
    return common.exit_code(lambda: _run(values))


def _run(values: argparse.Namespace) -> None:
    if not (DOCS / "RESULTS.md.jinja").is_file():
        raise UserError(f"{DOCS}/RESULTS.md.jinja: not here; run this in the repository's root")
    if values.task == "add":
        print(add(values.path, values.name, values.word))
    else:
        write_text(DOCS / "RESULTS.md", render())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
