"""A note of the data that a run trains on, so that other data is told when it goes on."""

from __future__ import annotations

import json
import pathlib
import sys

from mosaic.utils.atomic_io import write_text
from mosaic.utils.segmentation_dataset import SegmentationDataset

FILE = "data.json"


def keep(folder: str, dataset: SegmentationDataset, is_resumed: bool) -> None:
    """Writes the note into a run's folder; warns where a run that goes on has other data.

    Args:
      folder: folder of the run.
      dataset: data set that it trains on. Where it has `num_bytes`, the size of a split's records,
        changed images are told as well as missing ones.
      is_resumed: whether the run goes on.
    """
    path = pathlib.Path(folder) / FILE
    now = {"dataset": dataset.name, "splits": {s: _of_split(dataset, s) for s in dataset.splits}}
    before = _read(path) if is_resumed else {}
    if changes := _changes(before, now):
        print(
            f"warning: {folder}: the data is not that of the steps before: {'; '.join(changes)}",
            file=sys.stderr,
        )
    write_text(path, json.dumps(now, indent=1) + "\n")


def _of_split(dataset: SegmentationDataset, split: str) -> dict:
    found = {"images": dataset.num_images(split)}
    if hasattr(dataset, "num_bytes"):
        found["bytes"] = dataset.num_bytes(split)
    return found


def _read(path: pathlib.Path) -> dict:
    """The note of the run before; empty where there is none that can be read."""
    try:
        note = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    is_note = isinstance(note, dict) and isinstance(note.get("splits"), dict)
    return note if is_note and all(isinstance(s, dict) for s in note["splits"].values()) else {}


def _changes(before: dict, now: dict) -> list[str]:
    """What differs between two notes, as far as both have it."""
    if not before:
        return []
    found = []
    if before.get("dataset") != now["dataset"]:
        found.append(f"{now['dataset']} instead of {before.get('dataset')}")
    there, here = before["splits"], now["splits"]
    for split in sorted(there.keys() | here.keys()):
        old, new = there.get(split, {"images": 0}), here.get(split, {"images": 0})
        if old.get("images") != new["images"]:
            found.append(f"{split} has {new['images']} images instead of {old.get('images')}")
        elif "bytes" in old and "bytes" in new and old["bytes"] != new["bytes"]:
            found.append(f"{split} has as many images, but some are others")
    return found
