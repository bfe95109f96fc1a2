"""Shared parts of the benchmarks: their flags, and the output of their results."""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence

# For all benchmarks: this is the first module that they import.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import UserError
from mosaic.utils.provenance import command, provenance


def parser(description: str, turns: int) -> argparse.ArgumentParser:
    """Returns a parser of --turns and --output."""
    flags = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("--turns", type=int, default=turns)
    flags.add_argument("--output", help="JSON file for the figures.")
    return flags


def finish(rates: Mapping[str, Sequence[float]], values: argparse.Namespace, **more: float) -> None:
    """Prints the rates and their ratio, and writes them to --output.

    Args:
      rates: images per second in each turn, by name; `ours` and `Garden` are among them.
      values: parsed flags.
      more: further measurements, by name.
    """
    metrics = {name: spread(found) for name, found in rates.items()}
    for name, rate in metrics.items():
        bounds = f"{rate['least']:.2f} to {rate['most']:.2f}"
        print(f"{name:14} {rate['median']:6.2f} images/s ({bounds})")
    ratio = metrics["ours"]["median"] / metrics["Garden"]["median"]
    print(f"ratio          {ratio:6.2f}", *(f"  {name} {value:g}" for name, value in more.items()))
    save(values, images_per_second=metrics, ratio=ratio, **more)


def spread(found: Sequence[float]) -> dict[str, float]:
    """Returns the `median`, the `least` and the `most`."""
    return {"median": statistics.median(found), "least": min(found), "most": max(found)}


def save(values: argparse.Namespace, **figures) -> None:
    """Writes measurements, and where they came from, to --output if it was given."""
    if values.output:
        settings = {name: value for name, value in vars(values).items() if name != "output"}
        report = {**provenance(command()), "settings": settings, **figures}
        write_text(values.output, json.dumps(report, indent=2) + "\n")


def exit_code(work: Callable[[], object]) -> int:
    """Does a tool's work and returns its exit code; what a user can mend is told in one line."""
    try:
        work()
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
