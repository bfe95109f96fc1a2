"""How far batch norm's moving averages come in a short run: scores are made with these."""

from __future__ import annotations

import sys

import gin

from mosaic import config

# Share of an average's first value, which no image has told, that hardly changes a prediction.
_LITTLE = 0.05


def tell_slow_averages() -> None:
    """Tells of a configured run whose averages still hold much of their first values at its end.

    Its loss falls, for a training step normalises by the batch, but its scores do not tell that. A
    run that starts from a checkpoint starts with averages of images.
    """
    if config.value("train.init_checkpoint"):
        return
    network = gin.query_parameter(config.network()).selector
    momentum, steps = config.value(f"{network}.norm_momentum"), config.value("train.steps")
    if not momentum or momentum**steps <= _LITTLE:
        return
    name = f"{network.rpartition('.')[2]}.norm_momentum"
    print(
        f"after {steps} steps batch norm's averages still hold {momentum**steps:.0%} of their "
        f"first values, so that scores say less than the loss: {name} = {momentum:g} is for more "
        f"steps (--gin.{name}={_settling(steps):.2g} is for these)",
        file=sys.stderr,
    )


def _settling(steps: int) -> float:
    """The largest momentum of two digits by which averages settle within some steps."""
    return int(100 * _LITTLE ** (1 / steps)) / 100
