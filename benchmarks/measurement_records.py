"""Measurements as small JSON files in docs/results, from which docs/RESULTS.md is rendered."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import UserError

DOCS = pathlib.Path("docs")
# Keys of every record, and keys of a whole report that are not measurements.
PROVENANCE = ("command", "date", "machine")
_BULK = ("confusion_matrix", "other_answers", "images", "class_names", "num_pixels", "path")
_BULK += ("checkpoint", "profile", "phone", "system")
# Output flags of the commands in README.md; their folders get the same name in all records.
_OUTPUTS = ("--output_dir", "--export_dir", "--submission_dir", "--output")


def add(path: str, name: str, words: Sequence[str] = (), docs: pathlib.Path = DOCS) -> pathlib.Path:
    """Saves the metrics of a measurement as docs/results/NAME.json.

    Args:
      path: path of a JSON report, or of pytest's JUnit XML.
      name: name of the record. docs/RESULTS.md.jinja says which ones it shows; of an experiment
        they are EXPERIMENT.train, .val, .test and .tflite.
      words: texts `WORD=PATH`: the word to write for a path of this machine.
      docs: folder of the documentation.

    Raises:
      UserError: there is no such measurement, or it does not say where it came from.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
        found = _of_tests(text) if path.endswith(".xml") else json.loads(text)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    missing = [key for key in PROVENANCE if not (isinstance(found, dict) and found.get(key))]
    if missing:
        raise UserError(f"{path}: does not say its {missing[0]}; measure again")
    places = dict(word.split("=", 1)[::-1] for word in words if "=" in word)
    if len(places) < len(words):
        raise UserError("--word: write WORD=PATH, each path once")
    places = {os.path.normpath(place): word for place, word in places.items()}
    return write(name, _slim(found, places, str(found.get("dataset") or "data").upper()), docs)


def write(name: str, record: Mapping, docs: pathlib.Path = DOCS) -> pathlib.Path:
    """Writes a record as docs/results/NAME.json."""
    target = docs / "results" / f"{name}.json"
    write_text(target, json.dumps(record, indent=1) + "\n")
    return target


def _of_tests(text: str) -> dict:
    """Values that tests recorded by `record_property`, by name, in the tests' order."""
    suite = ElementTree.fromstring(text).find(".//testsuite")
    machine = suite is not None and suite.find("properties/property[@name='machine']")
    if not isinstance(machine, ElementTree.Element):
        raise ValueError("no run of this project's tests")
    if int(suite.get("failures")) or int(suite.get("errors")):
        raise ValueError("a test failed")
    metrics: dict[str, list] = {}
    files = set()
    for case in suite.iter("testcase"):
        for entry in case.iter("property"):
            metrics.setdefault(entry.get("name"), []).append(json.loads(entry.get("value")))
            files.add(case.get("file"))
    return {
        "command": f"python -m pytest {' '.join(sorted(files))} --junitxml=OUT",
        "date": suite.get("timestamp")[:10],
        "machine": json.loads(machine.get("value")),
        "figures": metrics,
    }


def _slim(value, places: Mapping[str, str], data: str):
    """The value without large parts, and with words for paths of this machine."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in _BULK}
        if "command" in kept:
            split = shlex.split(kept["command"])
            kept["command"] = shlex.join(_word(word, places, data) for word in split)
        return {k: v if k == "command" else _slim(v, places, data) for k, v in kept.items()}
    if isinstance(value, list):
        return [_slim(item, places, data) for item in value]
    return _word(value, places, data) if isinstance(value, str) else value


def _word(word: str, places: Mapping[str, str], data: str) -> str:
    flag, equals, path = word.rpartition("=") if word.startswith("-") else ("", "", word)
    if not os.path.isabs(path):
        return word
    path = os.path.normpath(path)
    inside = [place for place in places if f"{path}/".startswith(f"{place}/")]
    if inside:
        path = places[max(inside, key=len)] + path[len(max(inside, key=len)) :]
    elif flag in _OUTPUTS:
        path = "OUT"
    elif flag == "--data_dir":
        path = data
    elif flag == "--model_dir":
        path = f"runs/{os.path.basename(path)}"
    elif os.path.splitext(path)[1]:
        path = os.path.basename(path)
    else:
        raise UserError(f"{path}: say what to call it, such as --word=PHOTOS={path}")
    return f"{flag}{equals}{path}"


def read(docs: pathlib.Path = DOCS) -> dict[str, dict]:
    """Reads the records by name.

    Raises:
      UserError: one of them cannot be read.
    """
    records = {}
    for path in sorted((docs / "results").glob("*.json")):
        try:
            records[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path}: no JSON ({error}); add it again") from None
    return records
