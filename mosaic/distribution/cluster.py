"""The workers of a run as the environment names them, and how they find each other at the start."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf
from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver

from mosaic.utils.errors import RunError, UserError

_VARIABLE = "TF_CONFIG"
# Jobs that train together, in the order in which TensorFlow numbers them.
_JOBS = ("chief", "master", "worker")
# Time between two attempts to reach a worker, and for the answer to one, in seconds.
_PAUSE, _ANSWER = 0.2, 5.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Workers that train one network together.

    Attributes:
      addresses: `host:port` of each worker, the chief first.
      index: number of this worker in `addresses`.
    """

    addresses: Sequence[str]
    index: int

    @property
    def port(self) -> int:
        """Port at which this worker serves the others."""
        return _parts(self.addresses[self.index])[1]


def of_tf_config() -> Cluster | None:
    """Returns the workers that TF_CONFIG names, as TFJob and Vertex AI set it; None without any.

    Raises:
      UserError: TF_CONFIG is damaged, or has tasks that do not train together.
    """
    text = os.environ.get(_VARIABLE, "").strip()
    if not text:
        # TensorFlow reads it too, and takes an empty one for a damaged one.
        os.environ.pop(_VARIABLE, None)
    try:
        jobs, kind, index = _parsed(text or "{}")
        others = sorted({*jobs, kind} - {*_JOBS, ""})
        found = _numbered(jobs, kind, index) if jobs and not others else None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(
            f"{_VARIABLE}: not a cluster ({type(error).__name__}: {reason}); write "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    if others:
        raise UserError(
            f"{_VARIABLE} has tasks of the kind {others[0]!r}: only chief and worker train "
            "together; leave the others out of the job"
        )
    return found


def _parsed(text: str) -> tuple[dict[str, list[str]], str, int]:
    """The addresses of each kind of task, and the kind and the index of this one."""
    found = json.loads(text)
    jobs = {job: list(tasks) for job, tasks in (found.get("cluster") or {}).items() if tasks}
    if not jobs:
        return {}, "", 0
    # As text, since `int` takes 0.7 for 0.
    return jobs, found["task"]["type"], int(str(found["task"]["index"]))


def _parts(address: str) -> tuple[str, int]:
    """The host and the port of an address; raises a ValueError where it has none."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"{address!r} is not host:port")
    return host.strip("[]"), int(port)


def _numbered(jobs: Mapping[str, Sequence[str]], kind: str, index: int) -> Cluster:
    """The workers in TensorFlow's order.

    Raises:
      ValueError, LookupError: this task is none of them, or they have no addresses of their own.
    """
    if not 0 <= index < len(jobs[kind]):
        raise ValueError(f"there is no {kind} {index}")
    before = sum(len(jobs.get(job, ())) for job in _JOBS[: _JOBS.index(kind)])
    if sum(len(jobs.get(job, ())) for job in _JOBS[:-1]) > 1:
        raise ValueError("more than one chief")
    addresses = [address for job in _JOBS for address in jobs.get(job, ())]
    parts = [*map(_parts, addresses)]
    for number, address in enumerate(addresses):
        if parts[number] in parts[:number]:
            raise ValueError(f"{address!r} is named twice")
    return Cluster(addresses, before + index)


def of_slurm() -> Cluster | None:
    """Returns the workers of a SLURM step, and sets TF_CONFIG to them; None outside of any.

    TensorFlow's own resolver finds them. Ports depend on the job, so that jobs on one node do not
    meet.

    Raises:
      UserError: SLURM's variables do not name the tasks.
    """
    if "SLURM_PROCID" not in os.environ or "SLURM_STEP_NUM_TASKS" not in os.environ:
        return None
    try:
        # Nodes as SLURM numbers its tasks; the resolver sorts them by name.
        nodes = slurm_cluster_resolver.expand_hostlist(os.environ["SLURM_STEP_NODELIST"])
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=10000 + int(os.environ.get("SLURM_JOB_ID", 0)) % 20000,
            # A task uses all GPUs that SLURM shows it: the resolver need not divide them.
            gpus_per_node=int(os.environ["SLURM_STEP_NUM_TASKS"]),
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        parts = (a.rpartition(":") for a in resolver.cluster_spec().job_tasks("worker"))
        places = sorted((nodes.index(host), int(port)) for host, _, port in parts)
        index = int(os.environ["SLURM_PROCID"])
    except (RuntimeError, ValueError, LookupError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"SLURM does not name its tasks ({reason}); start them with srun") from None
    jobs = {"worker": [f"{nodes[node]}:{port}" for node, port in places]}
    task = {"type": "worker", "index": index}
    os.environ[_VARIABLE] = json.dumps({"cluster": jobs, "task": task})
    return of_tf_config()


def meet(cluster: Cluster, seconds: float) -> None:
    """Waits until every worker has heard of every other one.

    TensorFlow's servers wait for each other without an end and cannot be interrupted. So they are
    started only after all workers have been there, on the ports that the servers take then.

    Args:
      cluster: workers.
      seconds: longest time to wait.

    Raises:
      UserError: the port of this worker is taken, or another worker has another number.
      RunError: a worker did not come in time.
    """
    meeting = _Meeting(cluster)
    try:
        listener = _listen(cluster.port)
    except OSError as error:
        raise UserError(
            f"port {cluster.port}, at which worker {cluster.index} serves the others, cannot be "
            f"had ({os.strerror(error.errno)}); end what uses it, or name another port"
        ) from None
    with _answering(meeting, listener):
        deadline, is_told = time.monotonic() + seconds, False
        while missing := meeting.reach():
            names = ", ".join(map(meeting.told, missing))
            if time.monotonic() > deadline:
                raise RunError(
                    f"{names} did not come within {seconds:g} s; start all "
                    f"{len(cluster.addresses)} workers, or raise runtime.wait_for_workers"
                )
            if not is_told:
                print(f"waiting up to {seconds:g} s for {names}", file=sys.stderr, flush=True)
                is_told = True
            time.sleep(_PAUSE)


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


@contextlib.contextmanager
def _answering(meeting: _Meeting, listener: socket.socket) -> Iterator[None]:
    """Answers other workers while its block runs; the port is free after it."""
    thread = threading.Thread(target=meeting.answer, args=(listener,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        # Closing alone does not end the thread, nor free the port while it waits.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


class _Meeting:
    """Which workers this one has reached, and which have reached it."""

    def __init__(self, cluster: Cluster):
        self._cluster = cluster
        self._reached = {cluster.index}
        self._heard = {cluster.index}
        self._trouble: dict[int, str] = {}

    def told(self, index: int) -> str:
        """Returns a worker's name for messages, with what keeps this one from reaching it."""
        trouble = self._trouble.get(index, "it was reached, and has not reached this one")
        return f"worker {index} ({self._cluster.addresses[index]}: {trouble})"

    def answer(self, listener: socket.socket) -> None:
        """Answers each worker that comes, until the listener is shut down."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(_ANSWER)
                try:
                    index = _number(connection)
                    connection.sendall(self._greeting)
                except OSError:
                    continue
                if index is not None:
                    self._heard.add(index)

    def reach(self) -> list[int]:
        """Tries to reach the workers that were not reached yet; returns those that are missing."""
        everybody = range(len(self._cluster.addresses))
        for index in set(everybody) - self._reached:
            host, port = _parts(self._cluster.addresses[index])
            try:
                with socket.create_connection((host, port), _ANSWER) as connection:
                    connection.sendall(self._greeting)
                    found = _number(connection)
            except socket.gaierror:  # perhaps not known yet
                self._trouble[index] = "no host of this name is known"
                continue
            except OSError as error:  # not there yet
                self._trouble[index] = (error.strerror or str(error)).lower()
                continue
            if found is None:  # perhaps what an earlier run has left
                self._trouble[index] = "something else answers there"
                continue
            self._trouble.pop(index, None)
            if found != index:
                raise UserError(
                    f"{host}:{port} is worker {found} and not worker {index}; give all workers "
                    "the same cluster, each with its own index"
                )
            self._reached.add(index)
        return [i for i in everybody if i not in self._reached or i not in self._heard]

    @property
    def _greeting(self) -> bytes:
        return f"mosaic worker {self._cluster.index}\n".encode()


def _number(connection: socket.socket) -> int | None:
    """Reads a greeting; returns the number of the worker, or None for anything else."""
    with connection.makefile("rb") as file:
        words = file.readline(64).split()
    is_greeting = len(words) == 3 and words[:2] == [b"mosaic", b"worker"] and words[2].isdigit()
    return int(words[2]) if is_greeting else None
