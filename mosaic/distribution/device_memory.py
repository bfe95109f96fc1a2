"""The memory of the devices that networks compute on."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from tensorflow.python.client import device_lib

from mosaic.utils import memory


class Room(NamedTuple):
    """Memory of a device.

    Attributes:
      num_bytes: size in bytes.
      what: name of it for messages.
    """

    num_bytes: int
    what: str


def of_networks() -> Room:
    """Returns the memory for a network's maps: of the smallest GPU, else of the machine.

    A GPU of which TensorFlow tells nothing does not count.
    """
    found = of_gpu()
    return Room(memory.total(), "memory") if found is None else found


def of_gpu() -> Room | None:
    """Returns what TensorFlow may have of the smallest GPU; None where there is no such number."""
    # Made first with the settings of this process, which others would replace.
    if not tf.config.list_logical_devices("GPU"):
        return None
    devices = device_lib.list_local_devices()
    sizes = [device.memory_limit for device in devices if device.device_type == "GPU"]
    return Room(min(sizes), "GPU memory") if sizes and min(sizes) > 0 else None
