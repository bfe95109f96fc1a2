"""The workers that the environment names, and how they find each other."""

import contextlib
import json
import socket
import threading

import pytest

from mosaic.distribution import cluster
from mosaic.distribution.cluster import Cluster
from mosaic.utils.errors import RunError, UserError


def set_config(monkeypatch, jobs, kind, index):
    task = {"type": kind, "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))


@pytest.fixture
def addresses():
    """Addresses of two workers whose ports are free."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
    found = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return found


@pytest.mark.parametrize("text", ["", "{}", '{"environment": "cloud"}'])
def test_without_a_cluster_there_are_no_workers(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    assert cluster.of_tf_config() is None


@pytest.mark.parametrize(
    ("kind", "index", "expected"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)]
)
def test_workers_come_after_the_chief(monkeypatch, kind, index, expected):
    jobs = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    set_config(monkeypatch, jobs, kind, index)
    found = cluster.of_tf_config()
    assert found == Cluster(["a:1", "b:2", "c:3"], expected)
    assert found.port == expected + 1


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0.7}}',
        '{"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:x"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:70000"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_damaged_cluster_is_told_in_a_line(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=r'TF_CONFIG: not a cluster .*write \{"cluster"'):
        cluster.of_tf_config()


@pytest.mark.parametrize(("kind", "name"), [("evaluator", "evaluator"), ("worker", "ps")])
def test_tasks_that_do_not_train_together_are_refused(monkeypatch, kind, name):
    set_config(monkeypatch, {"worker": ["a:1"], name: ["b:2"]}, kind, 0)
    with pytest.raises(UserError, match=f"TF_CONFIG has tasks of the kind '{name}'"):
        cluster.of_tf_config()


def test_slurm_names_the_workers_of_its_step(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "")
    for name, value in {
        "SLURM_PROCID": "2",
        "SLURM_JOB_ID": "123456",
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_STEP_NODELIST": "n[9-10]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
    }.items():
        monkeypatch.setenv(name, value)
    assert cluster.of_slurm() == Cluster(["n9:13456", "n9:13457", "n10:13456"], 2)
    # TensorFlow reads it from there.
    assert json.loads(cluster.os.environ["TF_CONFIG"])["task"] == {"type": "worker", "index": 2}


def test_outside_of_slurm_there_is_no_step(monkeypatch):
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    assert cluster.of_slurm() is None


def test_slurm_without_its_tasks_is_told_in_a_line(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.delenv("SLURM_STEP_NODELIST", raising=False)
    with pytest.raises(UserError, match=r"SLURM does not name its tasks .*srun"):
        cluster.of_slurm()


def test_workers_meet_and_leave_their_ports_free(addresses):
    errors = []

    def come(index):
        try:
            cluster.meet(Cluster(addresses, index), 20.0)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=come, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == [] and not any(thread.is_alive() for thread in threads)
    for address in addresses:
        socket.create_server(("localhost", int(address.rpartition(":")[2]))).close()


def test_a_worker_that_never_comes(addresses, capsys):
    refused = f"{addresses[1]}: connection refused"
    line = rf"worker 1 \({refused}\) did not come within 0.3 s; start all 2 workers"
    with pytest.raises(RunError, match=line):
        cluster.meet(Cluster(addresses, 0), 0.3)
    assert f"waiting up to 0.3 s for worker 1 ({refused})" in capsys.readouterr().err


def test_a_worker_whose_host_is_not_known(addresses):
    line = r"worker 1 \(nohost.invalid:1: no host of this name is known\) did not come"
    with pytest.raises(RunError, match=line):
        cluster.meet(Cluster([addresses[0], "nohost.invalid:1"], 0), 0.3)


def test_a_port_that_is_taken(addresses):
    port = int(addresses[0].rpartition(":")[2])
    with (
        socket.create_server(("", port)),
        pytest.raises(UserError, match=rf"port {port}, .* worker 0 .*\(Address already in use\)"),
    ):
        cluster.meet(Cluster(addresses, 0), 5.0)


def test_something_else_that_answers_is_no_worker(addresses):
    other = socket.create_server(("localhost", int(addresses[1].rpartition(":")[2])))

    def answer():
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                connection, _ = other.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")

    threading.Thread(target=answer, daemon=True).start()
    with other, pytest.raises(RunError, match=r"worker 1 .*: something else answers there\) did"):
        cluster.meet(Cluster(addresses, 0), 0.3)


def test_two_workers_with_one_number_are_told(addresses):
    ports = [int(address.rpartition(":")[2]) for address in addresses]
    other = Cluster([addresses[1], addresses[0]], 0)  # at the second port, as worker 0
    line = rf"localhost:{ports[1]} is worker 0 and not worker 1"
    with (
        cluster._answering(cluster._Meeting(other), cluster._listen(ports[1])),
        pytest.raises(UserError, match=line),
    ):
        cluster.meet(Cluster(addresses, 0), 5.0)
