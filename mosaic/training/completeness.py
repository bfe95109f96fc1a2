"""Whether a configuration trains at all: some are only for scores."""

from __future__ import annotations

from collections.abc import Sequence

import gin

from mosaic import config
from mosaic.utils.errors import UserError
from mosaic.utils.numbers import listed


def check_trains(also: Sequence[str] = ()) -> None:
    """Checks that the configuration sets all that training needs.

    Args:
      also: further parameters that must have a value, such as `Augment.crop_size`.

    Raises:
      UserError: it does not; all that is missing is named.
    """
    needed = [
        f"train.{name}"
        for name, parameter in config.parameters("train").items()
        if parameter.default is gin.REQUIRED
    ]
    unset = [name for name in (*needed, *also) if config.is_unset(name)]
    if unset:
        scores = not {"train.model", "train.dataset", "train.evaluation"}.intersection(unset)
        hint = "eval.py scores without" if scores else "set them, or include an experiment"
        raise UserError(
            f"the configuration does not set {listed(unset)}, which training needs; {hint}"
        )
