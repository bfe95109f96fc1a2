"""Which devices a run takes."""

import pytest
import tensorflow as tf

from mosaic.training.runtime import runtime
from mosaic.utils.errors import UserError


@pytest.mark.parametrize("devices", [("CPU:0",), "CPU:0", ["/device:cpu:0"]])
def test_one_named_device_is_used(devices):
    strategy = runtime(exact_graph=False, devices=devices)
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    (device,) = strategy.extended.worker_devices
    assert device.endswith("/device:CPU:0")


@pytest.mark.parametrize("devices", [None, ()])
def test_without_a_device_tensorflow_chooses(devices):
    strategy = runtime(exact_graph=False, devices=devices)
    assert strategy is tf.distribute.get_strategy()


@pytest.mark.parametrize("devices", ["GPU:7", ("CPU:0", "GPU:7")])
def test_a_device_that_is_not_there(devices):
    with pytest.raises(UserError, match=r"no 'GPU:7' here; there are .*CPU:0"):
        runtime(exact_graph=False, devices=devices)


def test_memory_grows_on_all_gpus_whatever_is_named(monkeypatch):
    grown = {}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind} a", f"{kind} b"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grown.__setitem__)
    runtime(exact_graph=False, devices="CPU:0")
    assert grown == {"GPU a": True, "GPU b": True}
