"""What a run trains on, for its record, and what has changed when it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mosaic.utils.segmentation_dataset import SegmentationDataset, SurveyedDataset


def of(dataset: SegmentationDataset) -> dict:
    """Describes a data set: `dataset`, its name, `classes`, their number, and `splits`.

    Each split has `images`, their number, and where the data set tells it, `fingerprint`.
    """
    splits = {name: _of_split(dataset, name) for name in dataset.splits}
    return {"dataset": dataset.name, "classes": dataset.num_classes, "splits": splits}


def _of_split(dataset: SegmentationDataset, split: str) -> dict:
    found = {"images": dataset.num_images(split)}
    if isinstance(dataset, SurveyedDataset):
        found["fingerprint"] = dataset.fingerprint(split)
    return found


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Lists what differs between two descriptions, as far as both have it."""
    found = []
    if before["dataset"] != now["dataset"]:
        found.append(f"{now['dataset']} instead of {before['dataset']}")
    there, here = before["splits"], now["splits"]
    for split in sorted(there.keys() | here.keys()):
        old, new = there.get(split, {"images": 0}), here.get(split, {"images": 0})
        if old["images"] != new["images"]:
            found.append(f"{split} has {new['images']} images instead of {old['images']}")
        elif _differ(old, new):
            found.append(f"{split} has as many images, but some are others")
    return found


def _differ(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two fingerprints, of one kind, are not the same."""
    both = [split.get("fingerprint") for split in (old, new)]
    if None in both or len({one.endswith("bytes") for one in both}) > 1:
        return False
    return both[0] != both[1]
