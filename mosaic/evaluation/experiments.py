"""Runs of one experiment with several seeds, and what chance may do between experiments."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Mapping, Sequence

from mosaic.evaluation import chance
from mosaic.evaluation.image_counts import unpack

# Settings of a report that must be the same for its figures to be compared.
SAME = ("dataset", "split", "protocol", "num_images")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Runs of one configuration that differ in nothing but seeds.

    Attributes:
      name: what the names of its runs have in common.
      runs: indices of its runs.
      mean: mean of their mean IoUs, 0 to 1, or None.
      deviation: standard deviation of these; None for a single run.
    """

    name: str
    runs: tuple[int, ...]
    mean: float | None
    deviation: float | None


def experiments(names: Sequence[str], reports: Sequence[Mapping]) -> list[Experiment]:
    """Returns the experiments of some runs, in the order of their first runs.

    Args:
      names: name of each run.
      reports: report of each run. Runs are of one experiment where `training` says so; a report
        that does not say is an experiment by itself.
    """
    groups: dict[object, list[int]] = {}
    for index, report in enumerate(reports):
        training = report.get("training") or {}
        kind = training.get("experiment")
        same = tuple(str(report.get(name)) for name in SAME)
        key = (kind, str(report.get("settings")), same) if kind else index
        groups.setdefault(key, []).append(index)
    return [
        _experiment([names[i] for i in group], group, [reports[i]["mean_iou"] for i in group])
        for group in groups.values()
    ]


def _experiment(
    names: Sequence[str], runs: Sequence[int], scores: Sequence[float | None]
) -> Experiment:
    known = [score for score in scores if score is not None]
    name = names[0]
    if len(names) > 1:
        alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names))
        common = "".join(letters[0] for letters in alike).rstrip("/_-. ")
        name = f"{common or names[0]} ({len(names)} runs)"
    return Experiment(
        name,
        tuple(runs),
        statistics.fmean(known) if known else None,
        statistics.stdev(known) if len(known) > 1 else None,
    )


def differences(found: Sequence[Experiment], reports: Sequence[Mapping]) -> list[dict]:
    """Compares every two experiments that were scored on the same images.

    Args:
      found: experiments.
      reports: report of each run.

    Returns:
      What `chance.difference` returns of each pair, with `first` and `second`, their names.

    Raises:
      ValueError: the counts of the images in a report are damaged.
    """
    counts = {
        run: unpack(reports[run]["image_counts"])
        for experiment in found
        for run in experiment.runs
        if reports[run].get("image_counts")
    }
    pairs = []
    for one, other in itertools.combinations(found, 2):
        runs = (*one.runs, *other.runs)
        if all(run in counts for run in runs) and _are_alike(runs, reports, counts):
            sets = ([counts[run] for run in each.runs] for each in (one, other))
            pairs.append({"first": one.name, "second": other.name, **chance.difference(*sets)})
    return pairs


def _are_alike(runs: Sequence[int], reports: Sequence[Mapping], counts: Mapping) -> bool:
    """Whether runs were scored on the same images of the same classes."""
    return all(
        [entry.get("id") for entry in reports[run].get("images") or []]
        == [entry.get("id") for entry in reports[runs[0]].get("images") or []]
        and all(reports[run].get(name) == reports[runs[0]].get(name) for name in SAME)
        and counts[run].shape == counts[runs[0]].shape
        for run in runs
    )


def lines(found: Sequence[Experiment], pairs: Sequence[Mapping]) -> list[str]:
    """Returns experiments of several runs, and differences, as lines of text."""
    several = [
        f"{one.name}: mIoU {100 * one.mean:.2f} on average, standard deviation "
        f"{100 * one.deviation:.2f}"
        for one in found
        if one.deviation is not None
    ]
    return several + [f"{pair['first']} - {pair['second']}: {said(pair)}" for pair in pairs]


def said(pair: Mapping) -> str:
    """Returns what a difference means, in words."""
    verdict = "more than chance" if pair["more_than_chance"] else "no more than chance"
    alone = "" if pair["drawn"] != "images" else "; by the choice of images alone"
    return (
        f"{100 * pair['difference']:+.2f} points, 95 % between {100 * pair['lower']:+.2f} and "
        f"{100 * pair['upper']:+.2f}: {verdict}{alone}"
    )
