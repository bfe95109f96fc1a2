"""The memory that networks have: a GPU's where there is one."""

import types

import pytest

from mosaic.distribution import device_memory
from mosaic.utils import memory


def _gpus(monkeypatch, *limits):
    devices = [types.SimpleNamespace(device_type="GPU", memory_limit=limit) for limit in limits]
    devices.append(types.SimpleNamespace(device_type="CPU", memory_limit=2**28))
    monkeypatch.setattr(device_memory.tf.config, "list_logical_devices", lambda kind: devices[:-1])
    monkeypatch.setattr(device_memory.device_lib, "list_local_devices", lambda: devices)


def test_without_a_gpu_it_is_the_machines():
    assert device_memory.of_gpu() is None
    assert device_memory.of_networks() == (memory.total(), "memory")


@pytest.mark.parametrize("limits, found", [((5, 3), 3), ((0,), None)])
def test_the_smallest_gpu_counts_as_far_as_it_tells(monkeypatch, limits, found):
    _gpus(monkeypatch, *limits)
    room = device_memory.of_gpu()
    assert room == (found and (found, "GPU memory"))
