"""Which devices a run takes."""

import time

import pytest
import tensorflow as tf

from mosaic.distribution import cluster, strategies
from mosaic.distribution.runtime import runtime
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


def test_a_strategy_that_is_none():
    with pytest.raises(UserError, match=r"strategy = 'many': it must be .*one of auto, one_device"):
        runtime(exact_graph=False, strategy="many")


def test_mirrored_over_one_device():
    strategy = runtime(exact_graph=False, strategy="mirrored", devices="CPU:0")
    assert isinstance(strategy, tf.distribute.MirroredStrategy)


def test_one_device_is_one():
    strategy = runtime(exact_graph=False, strategy="one_device")
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    with pytest.raises(UserError, match=r"runtime\.devices names 2 devices; name one"):
        runtime(exact_graph=False, strategy="one_device", devices=("CPU:0", "CPU:1"))


def test_several_workers_that_nothing_names(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="neither TF_CONFIG nor SLURM names the workers"):
        runtime(exact_graph=False, strategy="multi_worker_mirrored")


TWO = '{"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": %s}'


@pytest.mark.parametrize("strategy", ["auto", "multi_worker_mirrored"])
def test_nobody_of_two_workers_trains_alone(monkeypatch, strategy):
    monkeypatch.setenv("TF_CONFIG", TWO % '{"type": "worker", "index": 1}')
    met = []
    monkeypatch.setattr(cluster, "meet", lambda workers, seconds: met.append((workers, seconds)))
    monkeypatch.setattr(
        strategies.distribute_utils, "get_distribution_strategy", lambda name: Built(name)
    )
    built = runtime(exact_graph=False, strategy=strategy, wait_for_workers=7)
    assert built.name == "multi_worker_mirrored"
    assert met == [(cluster.Cluster(["localhost:1", "localhost:2"], 1), 7)]


class Built:
    """What stands for a strategy of several workers."""

    num_replicas_in_sync = 2

    def __init__(self, name):
        self.name, self.extended, self.worker_devices = name, self, ("CPU:0",)


def test_one_worker_that_wants_to_train_alone_is_warned(monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", TWO % '{"type": "worker", "index": 0}')
    runtime(exact_graph=False, strategy="one_device")
    assert "warning: TF_CONFIG names other workers, and each works" in capsys.readouterr().err


def test_an_empty_tf_config_is_none(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", " ")
    assert isinstance(strategies.build("mirrored", ()), tf.distribute.MirroredStrategy)


def test_tasks_of_slurm_that_train_alone_are_warned(monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    runtime(exact_graph=False)
    assert "warning: SLURM has started 4 tasks, and each works alone" in capsys.readouterr().err


def test_a_cluster_of_one_is_this_machine(monkeypatch):
    config = '{"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", config)
    assert runtime(exact_graph=False) is tf.distribute.get_strategy()


def test_a_tpu_that_does_not_answer(monkeypatch):
    lines = []
    monkeypatch.setattr(strategies, "_end", lines.append)  # it ends the process
    builder = "get_distribution_strategy"
    monkeypatch.setattr(strategies.distribute_utils, builder, lambda *_, **__: time.sleep(0.3))
    strategies.build("tpu", (), "grpc://a:1", 0.1)
    assert lines and "runtime.tpu = 'grpc://a:1': no answer within 0.1 s" in lines[0]


@pytest.mark.parametrize("settings", [{"strategy": "tpu", "tpu": "local"}, {"tpu": "none-here"}])
def test_a_tpu_that_is_not_there(monkeypatch, settings):
    def absent(name, tpu_address):
        assert name == "tpu"
        raise tf.errors.NotFoundError(None, None, f"no\nTPU {tpu_address}")

    monkeypatch.setattr(strategies.distribute_utils, "get_distribution_strategy", absent)
    address = settings["tpu"]
    with pytest.raises(UserError, match=f"runtime.tpu = '{address}': no such .*no TPU {address}"):
        runtime(exact_graph=False, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "tpu"}, "which one\\? Set runtime.tpu"),
        ({"strategy": "mirrored", "tpu": "local"}, "runtime.tpu = 'local' is for .*'tpu'"),
        ({"tpu": "local", "devices": "CPU:0"}, "leave it out with a TPU"),
    ],
)
def test_settings_that_contradict_a_tpu(settings, message):
    with pytest.raises(UserError, match=message):
        runtime(exact_graph=False, **settings)


def test_a_gpu_that_a_worker_lacks():
    with pytest.raises(UserError, match="no 'GPU:3' here; there are CPU:0"):
        strategies._show_only(["GPU:3"])
