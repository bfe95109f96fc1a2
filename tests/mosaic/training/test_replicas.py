"""One replica, several and several workers compute the same; a worker that dies ends the others."""

import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # six processes, one after the other and at once

# Each in a process: TensorFlow mixes up strategies of several sizes.
DEVICES = (("CPU:0,CPU:1,CPU:2,CPU:3", "CPU:0"), ("CPU:0,CPU:1",))
MULTIPLE = ("CPU0,CPU1,CPU2,CPU3", "CPU0,CPU1")


def start(root, folder, *arguments, **environment):
    paths = os.pathsep.join([str(root), str(root / "tests" / "support")])
    return subprocess.Popen(
        [sys.executable, str(root / "tests" / "support" / "replica_run.py"), folder, *arguments],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_ports(count):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(root, folder, *arguments):
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        yield start(root, folder, *arguments, TF_CONFIG=config)


def ends(processes):
    """(exit code, standard error) of each process."""
    try:
        errors = [process.communicate(timeout=200)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, errors)]


@pytest.fixture(scope="module")
def runs(root, tmp_path_factory):
    """Numbers of all runs, and how those of the workers ended that lost the chief."""
    folder = tmp_path_factory.mktemp("replicas")
    alone = [start(root, str(folder), *devices) for devices in DEVICES]
    killed = ends(list(start_workers(root, str(folder), "--dies_at=7")))
    there = sorted(path.name for path in (folder / "run").iterdir())
    again = ends(list(start_workers(root, str(folder))))
    assert [code for code, _ in again] == [0, 0], again
    assert [code for code, _ in ends(alone)] == [0, 0]
    numbers = {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}
    return numbers, killed, there, folder / "run"


@pytest.mark.parametrize("name", [*MULTIPLE, "worker0", "worker1"])
def test_losses_statistics_and_weights_do_not_depend_on_the_replicas(runs, name):
    alone, several = dict(runs[0]["CPU0"]), dict(runs[0][name])
    assert alone.pop("replicas") == 1 and several.pop("replicas") > 1
    done = several.pop("start") - alone.pop("start")
    np.testing.assert_allclose(several.pop("losses"), alone.pop("losses")[done:], atol=1e-5)
    assert {"stem_bn/moving_variance", "logits/kernel"} < alone.keys() == several.keys()
    for variable in alone:
        np.testing.assert_allclose(several[variable], alone[variable], atol=1e-5, err_msg=variable)


@pytest.mark.parametrize("name", [*MULTIPLE, "worker0", "worker1"])
def test_validation_counts_are_equal_to_the_pixel(runs, name):
    alone, several = (runs[0][f"first_{one}"]["matrix"] for one in ("CPU0", name))
    # Seven images, of which three rows have no label, are counted once each.
    assert several.sum() == 7 * 21 * 32 and np.count_nonzero(several) > 3
    np.testing.assert_array_equal(several, alone)


def test_devices_that_score_side_by_side_count_the_same(runs):
    alone, several = runs[0]["first_CPU0"]["matrix"], runs[0]["side_by_side"]
    assert several["used"].tolist() == ["CPU:0", "CPU:1"]
    np.testing.assert_array_equal(several["matrix"], np.pad(alone, ((0, 0), (0, 1))))


def test_a_worker_that_dies_ends_the_other_with_one_line(runs):
    (chief, _), (other, said) = runs[1]
    assert (chief, other) == (-signal.SIGKILL, 1)
    assert "worker 0 has ended or cannot be reached" in said.splitlines()[-1]
    assert "Start all workers again" in said.splitlines()[-1]


def test_all_started_again_go_on_from_the_last_checkpoint(runs):
    numbers, _, there, _ = runs
    assert "ckpt-5.index" in there and "ckpt-10.index" not in there
    assert numbers["worker0"]["start"] == numbers["worker1"]["start"] == 5


def test_only_the_chief_writes(runs):
    events = list((runs[3] / "train").glob("events*"))
    # Once for each time that the workers were started.
    assert len(events) == 2 and len({path.name.split(".")[5] for path in events}) == 2
