"""A run's record: which of its steps ran under which configuration, on what data, from what start.

`record.jsonl` in a run's folder gets a line each time the run starts, goes on or ends; no line is
ever changed. It goes with `best_ckpt/` and into exports, and holds no paths.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mosaic import config
from mosaic.utils import class_names, gin_text
from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import UserError
from mosaic.utils.provenance import versions
from mosaic.utils.run_layout import CONFIG, RECORD


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a run was from one step on.

    Attributes:
      configuration: value of each parameter, by `configurable.parameter`, as JSON has it.
      step: step at which training started or went on; None where a run has no record, and this is
        what its config.gin says.
      data: the data set, as `mosaic.training.data_note.of` describes it; None if unknown.
      start: what step 0 started from, as `mosaic.checkpoints.origin.start_of` describes it; None
        from scratch.
      devices: `replicas`, and `images` of each in a step.
      time: day and time, ISO 8601, in UTC.
      versions: versions of Python and of the packages that compute.
      ended: step at which the training of this entry ended; None where it did not say, as a killed
        process does not.
    """

    configuration: Mapping[str, Any]
    step: int | None = None
    data: Mapping[str, Any] | None = None
    start: Mapping[str, Any] | None = None
    devices: Mapping[str, int] = dataclasses.field(default_factory=dict)
    time: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ended: int | None = None


@dataclasses.dataclass(frozen=True)
class Record:
    """What is recorded of the run that a network is from.

    Attributes:
      entries: what the run was, oldest first; a single one without `step` where there is but a
        run's config.gin; none where nothing tells of a run.
      is_best: whether the network was chosen from the run as the best; None where that is not said.
      step: step of the network itself, where an export says it.
    """

    entries: Sequence[Entry] = ()
    is_best: bool | None = None
    step: int | None = None

    @property
    def steps(self) -> int | None:
        """Number of steps of the run, or of the network itself if it was not chosen; else None."""
        if self.is_best and self.entries and self.entries[-1].ended is not None:
            return self.entries[-1].ended
        return self.step


class Stretch(NamedTuple):
    """Steps `first` (counted from 0) to before `end` of a run, and what it was in them."""

    first: int
    end: float
    entry: Entry


def portable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns parameters as JSON has them, without paths."""
    found = {
        name: gin_text.as_json(value)
        for name, value in sorted(parameters.items())
        if not name.endswith((".data_dir", ".label_map"))
    }
    if found.get("train.init_checkpoint"):
        found["train.init_checkpoint"] = "given"
    return found


def append(folder: str, entry: Entry) -> None:
    """Adds an entry, of the configuration that is in use now, to the record of a run's folder.

    Args:
      folder: folder of the run.
      entry: entry without `time`, `versions` and `ended`.

    Raises:
      UserError: the record that is there is damaged.
    """
    last = entries_in(folder)
    table = dataclasses.asdict(dataclasses.replace(entry, time=_now(), versions=versions()))
    del table["ended"]
    if last:
        # What stays is not written again: a run may go on hundreds of times.
        old, new = last[-1].configuration, table.pop("configuration")
        table["changed"] = {k: v for k, v in new.items() if k not in old or old[k] != v}
        table["dropped"] = sorted(old.keys() - new.keys())
    _add(folder, table)


def end(folder: str, step: int) -> None:
    """Adds to the record of a run's folder that its training ended at a step."""
    _add(folder, {"ended": step, "time": _now()})


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _add(folder: str, table: Mapping[str, Any]) -> None:
    path = pathlib.Path(folder) / RECORD
    write_text(path, (text_in(path.parent) or "") + json.dumps(table) + "\n")


def entries_in(folder: str | os.PathLike) -> list[Entry]:
    """Returns the entries of the record in a run's folder, oldest first; none where there is none.

    Raises:
      UserError: the record is damaged.
    """
    return list(parsed(text_in(pathlib.Path(folder)) or "", os.path.join(folder, RECORD)).entries)


def last_configuration(folder: str | os.PathLike) -> Mapping[str, Any]:
    """Returns the last configuration of the run in a folder; an empty one where nothing tells it.

    Raises:
      UserError: the record is damaged.
    """
    folder = pathlib.Path(folder)
    text = text_in(folder) or configured(folder / CONFIG) or ""
    entries = parsed(text, os.path.join(folder, RECORD)).entries
    return entries[-1].configuration if entries else {}


def configured(path: pathlib.Path) -> str | None:
    """Returns the only entry of a run that has no record, as text: what its config.gin says."""
    if not path.is_file():
        return None
    parameters = gin_text.resolved(gin_text.saved_bindings(path))
    return json.dumps({"configuration": portable(parameters)}) + "\n"


def copy(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copies what tells of a run, its record, configuration and class names, as far as it is there.

    Args:
      source: folder of the run.
      target: folder of a checkpoint of it, which can then be taken away.
    """
    for name in (CONFIG, class_names.FILE, RECORD):
        path = pathlib.Path(source) / name
        if path.is_file():
            write_text(pathlib.Path(target) / name, path.read_text("utf-8"))


def text_in(folder: pathlib.Path) -> str | None:
    """Returns the record in a folder as text; None where there is none."""
    path = folder / RECORD
    return path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else None


def parsed(text: str, where: str) -> Record:
    """Returns a record from its text.

    Args:
      text: lines of the record.
      where: name of it in messages.

    Raises:
      UserError: it is damaged.
    """
    record, entries = Record(), []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            table = json.loads(line)
            if "network" in table:
                record = Record((), **table["network"])
                _check(record.is_best in (True, False, None) and _is_step(record.step))
            elif "ended" in table:
                entries[-1] = dataclasses.replace(entries[-1], ended=table["ended"])
                _check(_is_step(entries[-1].ended))
            else:
                entries.append(_entry(table, entries[-1].configuration if entries else {}))
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            raise UserError(
                f"{where} is damaged in line {number}; put an intact copy back, or remove it: "
                "what the run did before is then not known"
            ) from None
    return dataclasses.replace(record, entries=tuple(entries))


def _entry(table: dict, before: Mapping[str, Any]) -> Entry:
    """An entry from its line and the configuration of the one before."""
    configuration = {**before, **table.pop("changed", {})}
    for name in table.pop("dropped", []):
        configuration.pop(name, None)
    entry = Entry(**{"configuration": configuration, **table})
    data = entry.data or {"splits": {}}
    start = entry.start or {"holds": "", "digest": "", "run": None}
    tables = (entry.configuration, entry.devices, entry.versions, data, start, start["run"] or {})
    _check(all(isinstance(one, dict) for one in tables) and _is_step(entry.step))
    _check(all(type(split["images"]) is int for split in data["splits"].values()))
    _check(isinstance(start["holds"], str) and isinstance(start["digest"], str))
    return entry


def _is_step(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 0)


def _check(is_right: bool) -> None:
    """Raises a ValueError for values that no record has."""
    if not is_right:
        raise ValueError


def stretches(entries: Sequence[Entry], steps: int | None) -> list[Stretch]:
    """Returns what a run was in each of its steps, as far as it is recorded.

    Where a run went on from an earlier step than it had reached, the steps after that do not count.

    Args:
      entries: entries of its record, oldest first.
      steps: number of its steps; None if unknown.
    """
    found: list[Stretch] = []
    end = float("inf") if steps is None else steps
    for entry in reversed(entries):
        if entry.step is not None and entry.step < end:
            found.append(Stretch(entry.step, end, entry))
            end = entry.step
    return found[::-1]


def in_use() -> dict[str, Any]:
    """Returns the configuration that is in use now, for an entry."""
    return portable(config.operative_parameters())
