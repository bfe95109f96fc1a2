"""What a run was configured with, held against the experiment that reproduces a published result.

Everything that gin bound or left at its default is compared, but for what decides no result: a
parameter that nobody thought of is a departure by itself.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from mosaic import config
from mosaic.checkpoints.run_folder import saved_configuration
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils import gin_text
from mosaic.utils.errors import UserError
from mosaic.utils.run_layout import RECORD

# Paths, devices, logging and seeds; and what is compared apart from here: the number of steps that
# were done, and what training started from.
_DECIDES_NOTHING = frozenset(
    (
        *("train.seed", "train.steps_per_log", "train.checkpoint_interval", "train.max_to_keep"),
        *("train.steps", "train.init_checkpoint"),
        *("runtime.seed", "runtime.devices", "runtime.threads"),
        *("runtime.deterministic", "runtime.exact_graph"),
        *("Evaluation.num_pictures", "Evaluation.num_best_and_worst", "Evaluation.baselines"),
        *("Evaluation.published", "Evaluation.batch_size"),
        *("Trainer.train", "Trainer.evaluate"),
    )
)
NOT_USED = "not used"


def configuration_of(model: str | TFLiteModel) -> dict[str, Any]:
    """Returns the configuration of the run that a network comes from.

    Args:
      model: path of a checkpoint or a SavedModel's folder, or an opened TFLite file.

    Returns:
      Values by `configurable.parameter`, from the `config.gin` that lies with it or the record
      inside; what is configured now where there is neither.
    """
    recorded = _recorded(model)
    return config.current_parameters() if recorded is None else recorded


def record_of(model: str | TFLiteModel) -> str | None:
    """Returns what a network was trained with, as JSON for its exports, without paths.

    It is None where no run's configuration lies with it, as with weights that others published.
    """
    recorded = _recorded(model)
    if recorded is None:
        return None
    run = {
        name: gin_text.as_json(value)
        for name, value in sorted(recorded.items())
        if not name.endswith((".data_dir", ".label_map"))
    }
    if run.get("train.init_checkpoint"):
        run["train.init_checkpoint"] = "given"
    return json.dumps(run, indent=1) + "\n"


def _recorded(model: str | TFLiteModel) -> dict[str, Any] | None:
    inside = _inside(model)
    if inside is not None or isinstance(model, TFLiteModel):
        return inside
    saved = saved_configuration(model)
    if saved is None:
        return None
    return gin_text.resolved(gin_text.saved_bindings(saved))


def _inside(model: str | TFLiteModel) -> dict[str, Any] | None:
    """The record of an exported file or folder; None where it has none."""
    if isinstance(model, TFLiteModel):
        text = tflite_metadata.read(model).record
    else:
        path = pathlib.Path(model) / "assets.extra" / RECORD
        text = path.read_text(encoding="utf-8") if path.is_file() else None
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{model}: its {RECORD} is damaged; export it again")
    return found


def departures(key: str, run: Mapping[str, Any]) -> list[dict]:
    """Lists the parameters in which a run differs from the experiment of a published result.

    Args:
      key: key in published.json, which is also the experiment's name in configs/.
      run: configuration of the run, as `configuration_of` gives it.

    Returns:
      `{"setting", "here", "published"}` of each, `published` as the experiment has it.
    """
    statements = config.statements([config.find(key)])
    expected = gin_text.resolved(gin_text.bound(statements))
    used = {name.rpartition(".")[0] for name in run}
    found = []
    for name in sorted(run.keys() | expected.keys()):
        if name in _DECIDES_NOTHING or name.endswith(".data_dir"):
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
