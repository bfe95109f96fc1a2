"""Published results, and whether a run reproduced one."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from mosaic.config import UNKNOWN
from mosaic.utils import gin_text
from mosaic.utils.errors import UserError, nearest

_FILE = pathlib.Path(__file__).with_name("published.json")

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
NOT_COMPARABLE = "not comparable"

# Difference in mIoU, 0 to 1, up to which a result counts as reproduced. Published weights have one
# score, printed in percent with two decimals: scored in the same way, the machine's arithmetic and
# the last decimal remain (docs/RESULTS.md, "How much the way of scoring moves mIoU"). A new
# training run has other random numbers, and runs of one recipe differ by some tenths of a point.
TOLERANCE_WEIGHTS = 0.0005
TOLERANCE_TRAINING = 0.005

# The two ways in which weights that the Model Garden published are scored.
_CLEAN = "all images, from their files"
_GARDEN = "the Garden's own way (frames through JPEG, without the first batch)"

# Settings that a file need not show, and the value that stands in their place.
_KEPT_INSIDE = ("normalization", "output_stride")
INSIDE = "inside the file"
# The checkpoint that training started from. Only whether there is one is compared here, not its
# path, which does not tell what it is.
START = "train.init_checkpoint"


def results() -> dict[str, dict]:
    """Returns all published results by their keys, as `result` gives them."""
    return json.loads(_FILE.read_text())


def result(key: str) -> dict:
    """Returns a published result: `mean_iou`, `source` (file and table), `settings`, and more.

    `checkpoint` is the file of the weights, and `multiply_adds` their number, where they were
    published.
    `not_published` lists what nobody can compare. If the `recipe` was published, it is there with
    `recipe_source` and `training`: what else was published of it, which a run's record tells.
    `garden_protocol` tells the Garden's own evaluation.

    Raises:
      UserError: unknown key.
    """
    found = results()
    if key not in found:
        raise UserError(f"no published result {key!r} in {_FILE.name}{nearest(key, found)}")
    return found[key]


def for_precision(published: Mapping[str, Any], precision: str, mean_iou: float | None) -> dict:
    """Returns the published result for a precision other than float32, if there is one.

    Args:
      published: published result, from `result`; `quantized` has the mean IoUs of int8 and uint8
        files by their type and how they were made. A file does not show how it was made: the
        nearest mean IoU is used, and named.
      precision: precision of the file, as in `mosaic.tflite.model_file.TFLiteModel.precision`.
      mean_iou: mean IoU of the run, 0 to 1, or None.
    """
    found = dict(published)
    scores = found.pop("quantized", {}).get(precision)
    if scores:
        how = min(scores, key=lambda way: abs(scores[way] - (mean_iou or 0.0)))
        found.pop("per_class_iou", None)
        found.update(
            mean_iou=scores[how],
            source=f"{published['source']}; {precision} by {how}",
            settings={**published["settings"], "numbers": precision},
        )
    return found


def departures(published: Mapping[str, Any], here: Mapping[str, Any]) -> list[dict]:
    """Lists the settings in which a run differs from a published one.

    Args:
      published: published settings, by name.
      here: settings of the run, by name; a setting that is missing here counts as different.

    Returns:
      `{"setting", "here", "published"}` for each.
    """
    found = []
    for name, value in published.items():
        own = here.get(name, UNKNOWN)
        if name == START and own != UNKNOWN:
            if own:
                continue
            own = "none, from scratch"
        if gin_text.as_json(own) != gin_text.as_json(value):
            found.append({"setting": name, "here": own, "published": value})
    return found


def verdict(
    published: Mapping[str, Any],
    mean_iou: float | None,
    settings: Mapping[str, Any],
    recipe: Mapping[str, Any] | None,
    others: Sequence[Mapping[str, Any]] = (),
    not_known: Sequence[str] = (),
    garden_mean_iou: float | None = None,
) -> dict:
    """Compares a run with a published result.

    Args:
      published: published result, from `result`.
      mean_iou: mean IoU of the run, 0 to 1; None where nothing was labelled.
      settings: settings of its evaluation, by the names in published.json; `INSIDE` or missing if a
        file does not show them.
      recipe: settings of its training, by gin parameter; None for weights that others published.
      others: departures of its training from the experiment that reproduces the result.
      not_known: what is not known of its training.
      garden_mean_iou: mean IoU of published weights in the Garden's own way
        (`mosaic.evaluation.garden_protocol`); None where it was not scored so.

    Returns:
      `status`, one of `REPRODUCED`, `NOT_REPRODUCED`, `NOT_COMPARABLE`; `difference` in mIoU or
      None; `ways`, `{"way", "mean_iou", "difference", "meets"}` of each way in which published
      weights were scored where there are two, one of which must meet the figure; `tolerance`;
      `above`, whether it is reproduced and better by more than that; `departures`; and
      `not_known`, what the file and the run do not show, which is not compared. A run with any
      departure is not comparable.
    """
    hidden = [name for name in _KEPT_INSIDE if settings.get(name, INSIDE) == INSIDE]
    known = {name: value for name, value in published["settings"].items() if name not in hidden}
    found = departures(known, settings)
    if recipe is not None:
        if "recipe" in published:
            found += departures(published["recipe"], recipe)
        else:
            found.append({"setting": "recipe", "here": "trained here", "published": "unpublished"})
    listed = {entry["setting"] for entry in found}
    found += [dict(entry) for entry in others if entry["setting"] not in listed]
    tolerance = TOLERANCE_WEIGHTS if recipe is None else TOLERANCE_TRAINING
    difference = None if mean_iou is None else mean_iou - published["mean_iou"]
    ways = []
    if garden_mean_iou is not None:
        scores = {_CLEAN: mean_iou, _GARDEN: garden_mean_iou}
        ways = [_way(name, score, published["mean_iou"]) for name, score in scores.items()]
    if found or difference is None:
        status = NOT_COMPARABLE
    else:
        # Published results with two decimals have no more digits than these to compare.
        # A run may be better; published weights that are better were scored otherwise.
        lowest, off = round(difference, 9) >= -tolerance, round(abs(difference), 9) > tolerance
        reproduced = lowest and not (off and recipe is None)
        reproduced = reproduced or any(way["meets"] for way in ways)
        status = REPRODUCED if reproduced else NOT_REPRODUCED
    return {
        "status": status,
        "difference": difference,
        "ways": ways,
        "tolerance": tolerance,
        "above": status == REPRODUCED and round(difference, 9) > tolerance,
        "departures": found,
        "not_known": [name for name in published["settings"] if name in hidden] + [*not_known],
    }


def _way(name: str, mean_iou: float, published: float) -> dict:
    difference = mean_iou - published
    meets = round(abs(difference), 9) <= TOLERANCE_WEIGHTS
    return {"way": name, "mean_iou": mean_iou, "difference": difference, "meets": meets}


def lines(verdict: Mapping[str, Any]) -> list[str]:
    """Returns the verdict as lines of text."""
    text = verdict["status"] + (", above" if verdict["above"] else "")
    if verdict["difference"] is not None:
        text += f" ({100 * verdict['difference']:+.2f} points"
        text += f", {100 * verdict['tolerance']:g} allowed)"
    return [
        text,
        *(
            f"  {way['way']}: {100 * way['mean_iou']:.2f} ({100 * way['difference']:+.2f} points), "
            + ("meets the figure" if way["meets"] else "does not meet the figure")
            for way in verdict.get("ways", ())
        ),
        *(
            f"  {entry['setting']}: {entry['here']} here, {entry['published']} published"
            for entry in verdict["departures"]
        ),
        *(f"  {name}: not known, left out" for name in verdict["not_known"]),
    ]
