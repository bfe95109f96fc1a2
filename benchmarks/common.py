"""What the benchmarks have in common: their flags, and what becomes of the rates of their turns."""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
from collections.abc import Mapping, Sequence

# For all of them: this is the first module that they import.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mosaic.utils.atomic_io import write_text
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
      rates: images a second in each turn, by name; `ours` and `Garden` are among them.
      values: of the flags.
      more: that was measured.
    """
    figures = {name: spread(found) for name, found in rates.items()}
    for name, rate in figures.items():
        bounds = f"{rate['least']:.2f} to {rate['most']:.2f}"
        print(f"{name:14} {rate['median']:6.2f} images/s ({bounds})")
    ratio = figures["ours"]["median"] / figures["Garden"]["median"]
    print(f"ratio          {ratio:6.2f}", *(f"  {name} {value:g}" for name, value in more.items()))
    save(values, images_per_second=figures, ratio=ratio, **more)


def spread(found: Sequence[float]) -> dict[str, float]:
    """Returns the `median`, the `least` and the `most`."""
    return {"median": statistics.median(found), "least": min(found), "most": max(found)}


def save(values: argparse.Namespace, **figures) -> None:
    """Writes figures, and where they came from, to --output if it was given."""
    if values.output:
        settings = {name: value for name, value in vars(values).items() if name != "output"}
        report = {**provenance(command()), "settings": settings, **figures}
        write_text(values.output, json.dumps(report, indent=2) + "\n")
