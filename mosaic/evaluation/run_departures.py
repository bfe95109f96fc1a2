"""How the training of a network departs from a published recipe.

The whole configuration of the run is compared with that of the experiment which states the
recipe: a parameter that nobody thought of is a departure by itself. The run's record tells what no
configuration does: changes on the way, what it started from, and what it was trained on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mosaic import config
from mosaic.checkpoints.origin import BACKBONE, NETWORK
from mosaic.checkpoints.run_record import Record, Stretch, stretches
from mosaic.evaluation import published
from mosaic.utils import gin_text

# Paths, devices, logging and seeds; and what is compared apart from the configuration: the number
# of steps that were done, and what training started from.
_DECIDES_NOTHING = frozenset(
    (
        *("train.seed", "train.steps_per_log", "train.checkpoint_interval", "train.max_to_keep"),
        *("train.steps", "train.init_checkpoint", "train.recompute"),
        *("runtime.seed", "runtime.devices", "runtime.threads"),
        *("runtime.deterministic", "runtime.exact_graph"),
        *("runtime.strategy", "runtime.tpu", "runtime.wait_for_workers"),
        *("Evaluation.num_pictures", "Evaluation.num_best_and_worst", "Evaluation.baselines"),
        *("Evaluation.published", "Evaluation.batch_size", "Evaluation.garden_protocol"),
        *("Trainer.train", "Trainer.evaluate"),
    )
)
NOT_USED = "not used"
# What a published run started from, in published.json: `BACKBONE`, `NETWORK`, or this.
OTHER_CLASSES = f"{NETWORK} of other classes"


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found out about the training of a network.

    Attributes:
      departures: `{"setting", "here", "published"}` of each difference from the experiment.
      not_known: what cannot be told, and is not compared.
    """

    departures: Sequence[Mapping[str, Any]] = ()
    not_known: Sequence[str] = ()

    def __add__(self, other: Found) -> Found:
        return Found([*self.departures, *other.departures], [*self.not_known, *other.not_known])


def configuration(record: Record, steps: int | None) -> Mapping[str, Any]:
    """Returns the configuration of a run's last steps; what is configured now without a record.

    Args:
      record: record of the run.
      steps: number of its steps; None if unknown.
    """
    if not record.entries:
        return config.current_parameters()
    ran = stretches(record.entries, steps)
    return (ran[-1].entry if ran else record.entries[-1]).configuration


def of_run(key: str, record: Record, steps: int | None) -> Found:
    """Holds the whole record of a run against a published result.

    Args:
      key: key in published.json, which is also the experiment's name in configs/.
      record: record of the run; without entries, what is configured now is compared.
      steps: number of steps of the run; None if unknown.
    """
    last = configuration(record, steps)
    found = Found(departures(key, last))
    training, ran = published.result(key).get("training", {}), stretches(record.entries, steps)
    if training.get("checkpoint") == "last" and record.is_best:
        found += _departure("checkpoint", "the best of the run", "the last of the run")
    if not ran:
        start = [published.START] if last.get(published.START) else []
        return found + Found([], ["the run's record", *start])
    for stretch in ran[:-1]:
        where = f"steps {stretch.first} to {stretch.end}"
        for entry in departures(key, stretch.entry.configuration):
            found += Found([{**entry, "setting": f"{entry['setting']} ({where})"}])
    if ran[0].first:
        found += Found([], [f"the run's record before step {ran[0].first}"])
    return found + _data(training, ran) + _start(training, ran[0])


def identity(record: Record, steps: int | None) -> dict:
    """Returns what tells a run from others of its experiment, for reports.

    Args:
      record: record of the run, with entries.
      steps: number of its steps; None if unknown.

    Returns:
      `experiment`, a digest of all configurations that ran, as far as they decide the result, and
      of the number of steps; `seed`; and `steps`.
    """
    ran = stretches(record.entries, steps) or [Stretch(0, steps or 0, record.entries[-1])]
    decisive = [
        (stretch.first, {k: v for k, v in stretch.entry.configuration.items() if _decides(k)})
        for stretch in ran
    ]
    # Of stretches that differ in nothing that decides, the first; a parameter at None is as good as
    # none.
    alike = itertools.groupby(
        decisive, lambda item: {k: v for k, v in item[1].items() if v is not None}
    )
    text = json.dumps([[next(group) for _, group in alike], steps], sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    seed = ran[0].entry.configuration.get("train.seed", config.default("train.seed"))
    return {"experiment": digest, "seed": seed, "steps": steps}


def _decides(name: str) -> bool:
    """Whether a parameter decides the result of a run."""
    return name not in _DECIDES_NOTHING and not name.endswith(".data_dir")


def _departure(setting: str, here: Any, expected: Any) -> Found:
    return Found([{"setting": setting, "here": here, "published": expected}])


def _data(training: Mapping[str, Any], ran: Sequence[Stretch]) -> Found:
    """Compares the training images of a run with what a published result was trained on."""
    splits = [(s.first, ((s.entry.data or {}).get("splits") or {}).get("train")) for s in ran]
    known = [(first, split) for first, split in splits if split]
    found = Found([], ["the training images"] if len(known) < len(splits) else [])
    expected = training.get("images")
    for first, split in known:
        if expected is not None and split["images"] != expected:
            name = "training images" + (f" (from step {first})" if first else "")
            found += _departure(name, split["images"], expected)
    for (_, old), (first, new) in itertools.pairwise(known):
        if old["images"] == new["images"] and old != new:
            here = f"others from step {first} on"
            found += _departure("training images", here, "always the same")
    return found


def _start(training: Mapping[str, Any], first: Stretch) -> Found:
    """Compares what a run started from with what the published one did."""
    start, expected = first.entry.start, training.get("start")
    if first.first or start is None or expected is None:
        return Found()  # A run from scratch departs in its configuration.
    run, classes = start["run"], start.get("classes")
    here = start["holds"] + (f" of {classes} classes" if classes else "")
    if run:
        here += f" trained by this project on {run['dataset']}, {run['step']} steps"
    is_other = not expected.startswith(start["holds"]) or (run and expected == BACKBONE)
    if start.get("format") == "garden_qat":
        here, is_other = f"{here} after quantization-aware training", True
    elif expected == OTHER_CLASSES and classes == (first.entry.data or {}).get("classes"):
        # It was trained for what this run is scored on.
        is_other = classes is not None
    if is_other:
        return _departure(published.START, here, expected)
    return Found([], [] if run else [f"{published.START} ({here}, digest {start['digest']})"])


def departures(key: str, run: Mapping[str, Any]) -> list[dict]:
    """Lists the parameters in which a run differs from the experiment of a published result.

    Args:
      key: key in published.json, which is also the experiment's name in configs/.
      run: configuration of the run: values by `configurable.parameter`.

    Returns:
      `{"setting", "here", "published"}` of each, `published` as the experiment has it.
    """
    statements = config.statements([config.find(key)])
    expected = gin_text.resolved(gin_text.bound(statements))
    used = {name.rpartition(".")[0] for name in run}
    found = []
    for name in sorted(run.keys() | expected.keys()):
        if not _decides(name):
            continue
        default = config.default(name)
        theirs = gin_text.as_json(expected.get(name, default))
        here = (
            gin_text.as_json(run.get(name, default))
            if name.rpartition(".")[0] in used
            else NOT_USED
        )
        if here != theirs:
            found.append({"setting": name, "here": here, "published": theirs})
    return found
