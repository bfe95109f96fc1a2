"""Where commands compute that do not train."""

import gin
import pytest

from mosaic import cli, config
from mosaic.distribution import strategies
from mosaic.utils.errors import UserError

TWO = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": %d}}'


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


def test_tensorflow_chooses_where_there_is_nothing_to_choose():
    assert cli.inference_devices(several=True) == []


def test_of_several_workers_the_chief_alone_works(monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", TWO % 0)
    assert cli.inference_devices() == []
    monkeypatch.setenv("TF_CONFIG", TWO % 1)
    assert cli.inference_devices() is None
    assert "worker 1 of 2: nothing to do here" in capsys.readouterr().err


def test_of_slurm_s_tasks_the_first_works_where_the_strategy_is_named(monkeypatch, capsys):
    step = {"NUM_TASKS": "2", "NODELIST": "n[1-2]", "TASKS_PER_NODE": "1(x2)"}
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_STEP_{name}", value)
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert cli.inference_devices() == []
    assert "warning: SLURM has started 2 tasks, and each works alone" in capsys.readouterr().err
    monkeypatch.setenv("TF_CONFIG", "")  # it is set to SLURM's workers
    cli.configure([config.find("quickstart")], ["runtime.strategy = 'multi_worker_mirrored'"], None)
    assert cli.inference_devices() is None
    assert "worker 1 of 2: nothing to do here" in capsys.readouterr().err


def test_all_gpus_score_and_one_exports(monkeypatch):
    monkeypatch.setattr(strategies, "_gpus", lambda: ["first", "second"])
    monkeypatch.setattr(strategies.tf.config.experimental, "set_memory_growth", lambda *_: None)
    assert cli.inference_devices(several=True) == ["GPU:0", "GPU:1"]
    assert cli.inference_devices() == []


def test_a_device_that_is_not_there_is_told(monkeypatch):
    cli.configure([config.find("quickstart")], ["runtime.devices = 'GPU:5'"], None)
    with pytest.raises(UserError, match=r"no 'GPU:5' here; there are CPU:0"):
        cli.inference_devices()


@pytest.mark.parametrize(
    ("bindings", "devices"), [([], None), (["runtime.devices = 'CPU:0'"], "CPU:0")]
)
def test_the_devices_of_training_are_not_those_of_another_command(tmp_path, bindings, devices):
    text = "include 'quickstart'\nruntime.devices = 'GPU:5'\nruntime.strategy = 'tpu'\n"
    (tmp_path / "config.gin").write_text(text)
    cli.configure([str(tmp_path / "config.gin")], bindings, None, cli.NOT_TRAINING)
    assert config.value("runtime.devices") == devices
    assert config.value("runtime.strategy") == "auto"
    gin.clear_config()
    cli.configure([str(tmp_path / "config.gin")], bindings, None)
    assert config.value("runtime.strategy") == "tpu"
