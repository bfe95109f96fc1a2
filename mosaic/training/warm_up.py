"""The warm-up of a recipe that was shortened: at most a share of its steps."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import gin

from mosaic import config
from mosaic.utils import bound_settings, gin_text

# Largest share of the steps. The published recipes have up to 0.112 (PASCAL VOC), so that none of
# them is changed.
SHARE = 0.2


def limit(files: Sequence[str], bindings: Sequence[str]) -> None:
    """Shortens the warm-up of a recipe whose steps were set apart from it, and tells so.

    A learning rate that rises over more steps than there are never gets where it was meant to: with
    a decay to 0 at the last step, it stays near 0. Whoever sets the warm-up in the same file as the
    steps, or after them, has meant it: it stays, and a warning tells.

    Args:
      files: paths of the gin files that are configured.
      bindings: bindings from the command line, which follow the files.
    """
    warm_up = bound_settings.find("linear_warmup.steps")
    steps = config.value("train.steps")
    # A run that ends before its decay does, as to look at a recipe's first steps, is not shortened.
    decays = (bound_settings.find(f"{name}.steps") for name in ("polynomial_decay", "cosine_decay"))
    length = max([steps, *(decay.value for decay in decays if decay)])
    if warm_up is None or warm_up.value <= SHARE * length:
        return
    name = bound_settings.name_of("train.steps")
    if _is_left_behind(warm_up.name, name, files, bindings):
        shorter = int(SHARE * steps)
        with gin.unlock_config():
            gin.bind_parameter(warm_up.key, shorter)
        print(
            f"{warm_up.name} is {shorter}, {SHARE:.0%} of {name} = {steps}: the recipe's "
            f"{warm_up.value} belong to more steps (--gin.{warm_up.name}=VALUE sets another)",
            file=sys.stderr,
        )
        return
    print(
        f"warning: {warm_up.name} = {warm_up.value} is more than {SHARE:.0%} of {name} = {steps}: "
        "the learning rate hardly gets where it should; take a smaller one",
        file=sys.stderr,
    )


def _is_left_behind(
    warm_up: str, steps: str, files: Sequence[str], bindings: Sequence[str]
) -> bool:
    """Whether the steps, by their name, were set after the warm-up and in another place."""
    places = {}
    commanded = gin_text.statements("\n".join(bindings), "the command line")
    for number, statement in enumerate([*config.statements(files), *commanded]):
        for name in gin_text.bound([statement]):
            places[name] = number, statement.location.filename
    if not {warm_up, steps} <= places.keys():
        return False
    return places[steps][0] > places[warm_up][0] and places[steps][1] != places[warm_up][1]
