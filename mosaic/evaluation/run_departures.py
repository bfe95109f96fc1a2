"""What a run was configured with, held against the experiment that reproduces a published result.

Everything that gin bound or left at its default is compared, but for what decides no result: a
parameter that nobody thought of is a departure by itself.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from mosaic import config
from mosaic.checkpoints.run_folder import saved_configuration
from mosaic.utils import gin_text

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


def configuration_of(path: str) -> dict[str, Any]:
    """Returns the configuration of the run that a checkpoint comes from.

    Args:
      path: path of a checkpoint, or of an exported file.

    Returns:
      Values by `configurable.parameter`, from the `config.gin` that lies with it; what is
      configured now where there is none.
    """
    saved = saved_configuration(path)
    if saved is None:
        return config.current_parameters()
    text = pathlib.Path(saved).read_text(encoding="utf-8")
    return gin_text.resolved(gin_text.bindings(text))


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
        theirs = _plain(expected.get(name, default))
        here = _plain(run.get(name, default)) if name.rpartition(".")[0] in used else NOT_USED
        if here != theirs:
            found.append({"setting": name, "here": here, "published": theirs})
    return found


def _plain(value):
    """A value as JSON has it, references and macros by their names."""
    if isinstance(value, gin_text.Reference):
        return value.name.rpartition(".")[2].rpartition("/")[2]
    if isinstance(value, gin_text.Macro):
        return repr(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
