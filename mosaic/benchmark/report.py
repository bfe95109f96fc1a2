"""Results of `benchmark` as a table, as JSON, and as a picture of mIoU over latency."""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
from collections.abc import Sequence

from mosaic.benchmark.android import PhoneResult
from mosaic.benchmark.measure import Result
from mosaic.utils.atomic_io import replacing, write_text
from mosaic.utils.provenance import provenance


def table(results: Sequence[Result]) -> str:
    """Returns the metrics of all models, one model a line, and below them the profiles."""
    heads = ["model", "params", "mult-adds", "MB", "ms", "quartiles", "90 %", "ratio", "memory MB"]
    rows = [
        [
            f"{result.name} *" if result.plain_kernels else result.name,
            f"{result.cost.parameters / 1e6:.2f} M",
            f"{result.cost.multiply_adds / 1e9:.2f} G",
            f"{result.cost.size / 1e6:.2f}",
            f"{result.latency.median:.2f}",
            f"{result.latency.lower:.2f} to {result.latency.upper:.2f}",
            _or_dash(result.latency.percentile_90),
            f"{result.ratio:.3f}",
            "-" if result.peak_memory is None else f"{result.peak_memory / 1e6:.1f}",
        ]
        for result in results
    ]
    if len({result.input_size for result in results}) > 1:
        heads.insert(1, "input")
        for row, result in zip(rows, results):
            row.insert(1, "x".join(map(str, result.input_size)))
    if any(result.mean_iou is not None for result in results):
        heads.append("mIoU, %")
        for row, result in zip(rows, results):
            row.append("-" if result.mean_iou is None else f"{100 * result.mean_iou:.2f}")
    for name in dict.fromkeys(one.delegate for result in results for one in result.phone):
        heads.append(f"phone {name.upper()} ms")
        for row, result in zip(rows, results):
            row.append(next((_on_phone(one) for one in result.phone if one.delegate == name), "-"))
    parts = [_aligned([heads, *rows])]
    if any(result.plain_kernels for result in results):
        parts.append("* XNNPACK refuses this file: timed on TensorFlow Lite's plain kernels")
    if any(one.taken in ("some", "none") for result in results for one in result.phone):
        parts.append("(part) or (none) of the network ran on that delegate, the rest on the CPU")
    if any(result.latency.is_disturbed for result in results):
        parts.append(
            "warning: quartiles are far apart: something else is at work on this machine; ratios "
            "hold better than milliseconds, and more --runs better than few"
        )
    parts += [profile_table(result) for result in results if result.operators]
    return "\n\n".join(parts)


def _or_dash(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.2f}"


def _on_phone(measured: PhoneResult) -> str:
    """Mean, deviation and slow runs on a phone, and how much of the network its delegate took."""
    slow = "" if measured.percentile_95 is None else f", 95 %: {measured.percentile_95:.2f}"
    taken = {"some": " (part)", "none": " (none)"}.get(measured.taken, "")
    return f"{measured.mean:.2f} +- {measured.deviation:.2f}{slow}{taken}"


def profile_table(result: Result, most: int = 12) -> str:
    """Returns a model's time by kind of operator, and its slowest operators."""
    total = sum(operator.milliseconds for operator in result.operators)
    kinds = collections.defaultdict(list)
    for operator in result.operators:
        # An operator that the kernel library does not run interrupts it.
        kinds[operator.kind if operator.delegated else f"{operator.kind} *"].append(operator)
    by_kind = sorted(
        ((sum(o.milliseconds for o in found), kind, len(found)) for kind, found in kinds.items()),
        reverse=True,
    )
    costliest = sorted(result.operators, key=lambda o: -o.milliseconds)[:most]
    lines = [
        f"{result.name}: {len(result.operators)} operators, {total:.2f} ms if each is timed alone",
        _aligned(
            [["ms", "share", "operators"]]
            + [
                [f"{time:.2f}", f"{100 * time / total:.1f} %", f"{count} {kind}"]
                for time, kind, count in by_kind
            ],
            right=2,
        ),
        _aligned(
            [
                [
                    f"{o.milliseconds:.3f}",
                    f"{100 * o.milliseconds / total:.1f} %",
                    f"{o.kind} {'x'.join(map(str, o.shape[1:]))} {o.name}",
                ]
                for o in costliest
            ],
            right=2,
        ),
    ]
    if not all(operator.delegated for operator in result.operators):
        lines.append("* not XNNPACK's: on one thread for the most part")
    return "\n".join(lines)


def _aligned(rows: Sequence[Sequence[str]], right: int | None = None) -> str:
    """Aligns columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width)
            if (index > 0 if right is None else index < right)
            else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def save(
    results: Sequence[Result], output_dir: str, command: str, settings: dict[str, object]
) -> list[pathlib.Path]:
    """Writes benchmark.json and, where scores are known, benchmark.png.

    Args:
      results: results of `benchmark`.
      output_dir: folder for the files.
      command: command that was run, for the record.
      settings: number of threads, of runs and the like, as given.

    Returns:
      Paths of the files.
    """
    folder = pathlib.Path(output_dir)
    report = {
        **provenance(command),
        **settings,
        "timed": "Interpreter.invoke of TFLite files, the signature's call of SavedModels",
        "models": [_entry(result) for result in results],
    }
    written = [folder / "benchmark.json"]
    write_text(written[0], json.dumps(report, indent=2) + "\n")
    if any(result.mean_iou is not None for result in results):
        written.append(folder / "benchmark.png")
        draw(results, written[1])
    return written


def _entry(result: Result) -> dict:
    return {
        "name": result.name,
        "path": result.path,
        "form": result.format,
        "input_size": list(result.input_size),
        "bytes": result.cost.size,
        "parameters": result.cost.parameters,
        "multiply_adds": result.cost.multiply_adds,
        "latency_ms": dataclasses.asdict(result.latency),
        "ratio": result.ratio,
        "peak_memory_bytes": result.peak_memory,
        "mean_iou": result.mean_iou,
        "profile": result.operators and [dataclasses.asdict(o) for o in result.operators],
        "phone": dataclasses.asdict(result.phone[0]) if result.phone else None,
        "phone_delegates": [dataclasses.asdict(one) for one in result.phone],
        "plain_kernels": result.plain_kernels,
    }


def draw(results: Sequence[Result], path: pathlib.Path) -> None:
    """Draws mIoU over latency, with the quartiles as a bar, and writes it as a PNG."""
    from matplotlib.figure import Figure

    known = [result for result in results if result.mean_iou is not None]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.subplots()
    for result in known:
        latency, score = result.latency, 100 * result.mean_iou
        spread = [[latency.median - latency.lower], [latency.upper - latency.median]]
        axis.errorbar(latency.median, score, xerr=spread, fmt="o", capsize=3, label=result.name)
    axis.set(xlabel="latency, ms (median and quartiles)", ylabel="mIoU, %", xlim=(0, None))
    # Differences of some hundredths of a percentage point must not look like a slope.
    low, high = axis.get_ylim()
    room = max(0.0, 2.0 - (high - low)) / 2
    axis.set_ylim(low - room, high + room)
    axis.grid(alpha=0.3)
    axis.legend(loc="best", fontsize=8)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=120)
