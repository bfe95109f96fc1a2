"""Where a network comes from: the record of its run, and what a run starts from."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from mosaic.checkpoints import loading
from mosaic.checkpoints.run_record import Record, configured, parsed, text_in
from mosaic.models.variables import Variables
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils import archives
from mosaic.utils.model_format import format_of
from mosaic.utils.run_layout import BEST_FOLDER, CONFIG, METRIC, RECORD

BACKBONE, NETWORK = "a backbone", "a network"
# Biases of DeepLab's classifiers, as long as there are classes.
_CLASSIFIERS = ("logits/bias", "head/_classifier/bias")


def read(model: str | os.PathLike | TFLiteModel) -> Record:
    """Returns the record that lies with a network, or is inside it.

    Args:
      model: path of a run's folder, a checkpoint or a SavedModel's folder, or of an archive of
        them, or an opened TFLite file.

    Raises:
      UserError: the record is damaged.
    """
    text, is_best = _found(model)
    record = parsed(text or "", f"{model}: its {RECORD}")
    return record if record.is_best is not None else dataclasses.replace(record, is_best=is_best)


def for_export(model: str | os.PathLike | TFLiteModel, step: int | None) -> str | None:
    """Returns the record of a network as text for its exports; None where nothing tells of a run.

    Args:
      model: network, as for `read`.
      step: its step; None if unknown.
    """
    text, is_best = _found(model)
    if not text or parsed(text, f"{model}: its {RECORD}").is_best is not None:
        return text  # An export of an export.
    return text + json.dumps({"network": {"step": step, "is_best": is_best}}) + "\n"


def _found(model: str | os.PathLike | TFLiteModel) -> tuple[str | None, bool | None]:
    """The text of a network's record, and of checkpoints whether it is the best of its run."""
    if isinstance(model, TFLiteModel):
        return tflite_metadata.read(model).record, None
    with _folder(os.path.abspath(model)) as folder:
        if folder is None:
            return None, None
        inside = text_in(folder / "assets.extra")
        if inside is not None:
            return inside, None
        text = _of_checkpoint(folder)
        return text, None if text is None else any(folder.glob(f"{METRIC}-*.json"))


@contextlib.contextmanager
def _folder(path: str) -> Iterator[pathlib.Path | None]:
    """Yields the folder that a checkpoint or SavedModel is in; None for a lone file."""
    if archives.is_archive(path) and os.path.isfile(path):
        if format_of(path) == "saved_model":
            with archives.unpacked(path) as top:
                yield pathlib.Path(archives.saved_model_folder(top, path))
        else:
            with loading.located(path) as prefix:
                yield pathlib.Path(prefix).parent
    elif os.path.isfile(path):
        yield None  # What lies beside a file tells nothing.
    else:
        yield pathlib.Path(path) if os.path.isdir(path) else pathlib.Path(path).parent


def _of_checkpoint(folder: pathlib.Path) -> str | None:
    own, outer = text_in(folder), text_in(folder.parent)
    if folder.name == BEST_FOLDER and outer and outer.startswith(own or ""):
        return outer  # The run went on after its best step.
    if own is None and not (folder / CONFIG).is_file():
        own, folder = outer, folder.parent
    return configured(folder / CONFIG) if own is None else own


def start_of(found: Variables, prefixes: Sequence[str]) -> dict:
    """Describes the weights that a run starts from.

    Args:
      found: variables of the checkpoint.
      prefixes: beginnings of the names of the variables that were taken from it.

    Returns:
      `format`; `holds`, `BACKBONE` or `NETWORK`; `classes`, the size of a classifier, or None;
      `variables`, their number; `prefixes`; `digest`, 16 hex digits of their names and values,
      the same for every form of the checkpoint; and `run`, the data set and the steps of the run
      of this project that they are from, or None: who trained other weights, and on what, no file
      tells.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name, array in sorted(found.arrays.items()):
        array = np.ascontiguousarray(array)
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.data)
    entries = read(found.path).entries if found.format == "mosaic" else ()
    data = (entries[-1].data if entries else None) or {}
    return {
        "format": found.format,
        "holds": BACKBONE if all(n.startswith("backbone") for n in found.arrays) else NETWORK,
        "classes": next((len(found.arrays[n]) for n in _CLASSIFIERS if n in found.arrays), None),
        "variables": len(found.arrays),
        "prefixes": list(prefixes),
        "digest": digest.hexdigest(),
        "run": {"dataset": data.get("dataset"), "step": found.step} if entries else None,
    }
