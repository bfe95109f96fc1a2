"""How far batch norm's moving averages come in a short run: scores are made with these."""

from __future__ import annotations

import sys

import gin

from mosaic import config
from mosaic.utils.numbers import listed, number_of

# Share of an average's first value, which no image has told, that hardly changes a prediction.
_LITTLE = 0.05
# Parameters of networks: of all batch norms, and of those after the backbone.
_MOMENTA = ("norm_momentum", "head_norm_momentum")


def tell_slow_averages() -> None:
    """Warns of a configured run whose averages still hold much of their first values at its end.

    Its loss falls, for a training step normalises by the batch, but its scores do not tell that. A
    run that starts from a checkpoint is left out: most of its averages are of images already.
    """
    if config.value("train.init_checkpoint"):
        return
    steps = config.value("train.steps")
    slow = {name: value for name, value in _momenta().items() if value**steps > _LITTLE}
    if not slow:
        return
    names = listed([f"{name} = {value:g}" for name, value in slow.items()])
    instead = " ".join(f"--gin.{name}={_settling(steps):.2g}" for name in slow)
    print(
        f"warning: after {number_of(steps, 'step')} batch norm's averages still hold "
        f"{100 * max(slow.values()) ** steps:.0f} % of their first values, so that scores say less "
        f"than the loss: {names}; for so few steps set {instead}",
        file=sys.stderr,
    )


def _momenta() -> dict[str, float]:
    """The network's momenta by their names in gin, without those that follow another."""
    network = gin.query_parameter(config.network()).selector
    name = network.rpartition(".")[2]
    return {
        f"{name}.{kind}": value
        for kind in _MOMENTA
        if kind in config.parameters(network)
        and (value := config.value(f"{network}.{kind}")) is not None
    }


def _settling(steps: int) -> float:
    """The largest momentum of two digits by which averages settle within some steps."""
    return int(100 * _LITTLE ** (1 / steps)) / 100
