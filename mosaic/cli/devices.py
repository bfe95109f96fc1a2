"""The devices of a command that does not train, as the configuration's `runtime` names them."""

from __future__ import annotations

import pathlib
import sys


def inference_devices(several: bool = False) -> list[str] | None:
    """Sets TensorFlow up for a command that does not train, before anything is computed.

    Args:
      several: whether the command can use several devices; another uses the first.

    Returns:
      Names of the devices where there are several to use, else none: TensorFlow then uses the one.
      None where this is another worker than the chief, which has nothing to do; a line tells that.

    Raises:
      UserError: a device is not there.
    """
    from mosaic import config
    from mosaic.distribution import strategies

    kind = config.value("runtime.strategy")
    workers = strategies.workers_of(kind)
    if workers is not None and workers.index:
        print(
            f"worker {workers.index} of {len(workers.addresses)}: nothing to do here; "
            f"{pathlib.Path(sys.argv[0]).name} runs on the chief alone",
            file=sys.stderr,
        )
        return None
    if workers is None:
        strategies.tell_alone(kind or strategies.AUTO)
    if config.value("runtime.tpu") is not None or kind == strategies.TPU:
        print("warning: TPUs train only; this runs on the machine's own devices", file=sys.stderr)
    return strategies.for_inference(
        kind,
        config.value("runtime.devices") or (),
        config.value("runtime.threads"),
        several,
    )
