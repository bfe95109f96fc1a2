"""What weights ask of the network that gets them: a setting that no variable shows.

It is bound before the network is built, so that whatever builds it again (a resumed run, an
evaluation, an export) builds the same one, and a run's saved configuration holds it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import gin

from mosaic import config
from mosaic.checkpoints import tflite_settings
from mosaic.checkpoints.run_folder import done, saved_configuration
from mosaic.storage import copies
from mosaic.tflite import graph_from_file
from mosaic.tflite.model_file import TFLiteModel, opened
from mosaic.utils import bound_settings
from mosaic.utils.settings import as_names

_NAME = "deeplab.pooling_limit"
_KIND, _PARAMETER = _NAME.split(".")
# Layers whose weights the setting belongs to.
_LAYERS = "aspp_pooling"


def take(checkpoint: str | TFLiteModel, prefixes: Sequence[str] = ("",)) -> None:
    """Binds what weights ask for, if nobody has set it, and tells so in one line.

    Args:
      checkpoint: weights that the configured network will get: a checkpoint of any form or a TFLite
        file, by its path or opened.
      prefixes: beginnings of the names of the layers that get them.

    Raises:
      UserError: a TFLite file is missing or damaged.
    """
    if not _is_open() or not _LAYERS.startswith(tuple(prefixes)):
        return
    if isinstance(checkpoint, TFLiteModel):
        limit, why = _asked(checkpoint)
    else:
        with copies.at_hand(checkpoint) as here:
            limit, why = _asked(opened(here))
    if limit is None:
        return
    with gin.unlock_config():
        gin.bind_parameter(_NAME, limit)
    print(f"{checkpoint}: {_NAME} = {limit}, {why}", file=sys.stderr)


def take_for_run(model_dir: str) -> None:
    """Does what `take` does for a run: what it goes on with, or else what it starts from.

    Args:
      model_dir: folder of the run.

    Raises:
      UserError: as for `take`.
    """
    if done(model_dir):
        take(model_dir)
    elif start := config.value("train.init_checkpoint"):
        take(start, as_names(config.value("train.init_prefixes")))


def _asked(model: TFLiteModel | str) -> tuple[float | None, str]:
    """The limit that a file or a checkpoint's run has, None for none; and where it is from."""
    if isinstance(model, TFLiteModel):
        limit = tflite_settings.pooling_limit(graph_from_file.read(model))
        return limit and float(f"{limit:.4g}"), "where the file cuts image-level features"
    saved = saved_configuration(model)
    return config.literals(saved, _KIND).get(_PARAMETER) if saved else None, "as in its run"


def _is_open() -> bool:
    """Whether the configured network has the setting, and nobody has set it."""
    try:
        network = config.network()
        kind = gin.query_parameter(network).selector.rpartition(".")[2]
    except ValueError:  # no network is configured
        return False
    if kind != _KIND or bound_settings.find(_NAME):
        return False
    here = config.arguments(network)
    return here["image_pooling"] and here["activation"] == "relu"
