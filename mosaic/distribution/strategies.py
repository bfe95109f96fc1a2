"""The strategies of `tf.distribute` by their names, and one line for each that is not to be had."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

import tensorflow as tf
from official.common import distribute_utils

from mosaic.distribution import cluster
from mosaic.utils.errors import RunError, UserError
from mosaic.utils.settings import as_names

AUTO, ONE_DEVICE, MIRRORED = "auto", "one_device", "mirrored"
MULTI_WORKER, TPU = "multi_worker_mirrored", "tpu"
# Their names are the Model Garden's.
STRATEGIES = (AUTO, ONE_DEVICE, MIRRORED, MULTI_WORKER, TPU)


def build(
    kind: str, devices: Sequence[str], tpu: str | None = None, seconds: float = 300.0
) -> tf.distribute.Strategy:
    """Returns a strategy; nothing may have been computed before, if there are several workers.

    Args:
      kind: one of `STRATEGIES`.
      devices: names of devices of this worker; empty for all GPUs, or the CPU without any.
      tpu: name or address of a TPU, `local` for those of this machine.
      seconds: longest time to wait for other workers, or for a TPU.

    Raises:
      UserError: what it needs is not there.
      RunError: a worker did not come in time.
    """
    if tpu is not None and kind not in (AUTO, TPU):
        raise UserError(f"runtime.tpu = {tpu!r} is for runtime.strategy = 'tpu', not {kind!r}")
    if kind == TPU or tpu is not None:
        return _tpu(tpu, devices, seconds)
    workers = workers_of(kind)
    if kind == MULTI_WORKER and workers is None:
        raise UserError(
            f"runtime.strategy = {MULTI_WORKER!r}: neither TF_CONFIG nor SLURM names the workers; "
            "docs/distributed.md shows how to start them"
        )
    several = workers is not None and len(workers.addresses) > 1
    if several and kind in (AUTO, MULTI_WORKER):
        return _multi_worker(workers, devices, seconds)
    tell_alone(kind, several)
    return _local(kind, devices)


def workers_of(kind: str | None) -> cluster.Cluster | None:
    """Returns the workers that the environment names, of SLURM where the strategy asks for it.

    Raises:
      UserError: it names them wrongly.
    """
    found = cluster.of_tf_config()
    return cluster.of_slurm() if found is None and kind == MULTI_WORKER else found


def tell_alone(kind: str, several: bool = False) -> None:
    """Warns where others may be meant to work together with this process."""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if several:
        named = "TF_CONFIG names other workers"
    elif kind == AUTO and tasks.isdecimal() and int(tasks) > 1:
        named = f"SLURM has started {tasks} tasks"
    else:
        return
    print(
        f"warning: {named}, and each works alone, perhaps in one folder; "
        f"--gin.runtime.strategy={MULTI_WORKER} makes one job of them",
        file=sys.stderr,
    )


def _local(kind: str, devices: Sequence[str]) -> tf.distribute.Strategy:
    """A strategy for the devices of this process."""
    if kind == ONE_DEVICE and len(devices) > 1:
        raise UserError(
            f"runtime.strategy = {ONE_DEVICE!r}: runtime.devices names {len(devices)} devices; "
            "name one"
        )
    gpus = len(tf.config.list_physical_devices("GPU"))
    if not devices and (kind == ONE_DEVICE or (kind == AUTO and gpus < 2)):
        # TensorFlow uses a single GPU by itself.
        name = "off" if kind == AUTO else ONE_DEVICE
        return distribute_utils.get_distribution_strategy(name, num_gpus=min(gpus, 1))
    if not devices:
        return distribute_utils.get_distribution_strategy(MIRRORED, num_gpus=gpus)
    _check_there(devices)
    if len(devices) > 1 or kind == MIRRORED:
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.OneDeviceStrategy(devices[0])


def for_inference(
    kind: str | None, devices: str | Sequence[str], threads: int | None, several: bool
) -> list[str]:
    """Sets TensorFlow up for a program that does not train, before anything is computed.

    Args:
      kind: one of `STRATEGIES`; several devices are only used where it is not `one_device`.
      devices: name or names of devices; empty for all GPUs.
      threads: number of CPU threads; all cores if None.
      several: whether the program can use several devices.

    Returns:
      Names of the devices if there are several to use; none where TensorFlow is to use the one.

    Raises:
      UserError: a device is not there.
    """
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    for gpu in _gpus():
        tf.config.experimental.set_memory_growth(gpu, True)
    devices = as_names(devices)
    several = several and kind != ONE_DEVICE
    if devices and (not several or len(devices) == 1):
        # What is exported then names no device.
        _show_only(devices[:1])
        return []
    if devices:
        _check_there(devices)
        return [plain(device) for device in devices]
    count = len(_gpus())
    return [f"GPU:{index}" for index in range(count)] if several and count > 1 else []


def _check_there(devices: Sequence[str]) -> None:
    """Raises a UserError for a device that is not there: TensorFlow would use another one."""
    names = [plain(device) for device in devices]
    _divide_cpu(names)
    there = [plain(device.name) for device in tf.config.list_logical_devices()]
    for device, name in zip(devices, names):
        if name not in there:
            raise UserError(f"runtime.devices: no {device!r} here; there are {', '.join(there)}")
        if names.count(name) > 1:
            raise UserError(f"runtime.devices: {device!r} is named twice; name each device once")


def plain(device: str) -> str:
    """Returns a device's name as in `GPU:0`."""
    return device.upper().removeprefix("/").removeprefix("DEVICE:")


# Logical CPUs share the cores: more of them than this serve nothing.
_MOST_CPUS = 16


def _divide_cpu(names: Sequence[str]) -> None:
    """Makes logical devices of the CPU where `CPU:1` or further ones are named."""
    numbers = [int(n[4:]) for n in names if n.startswith("CPU:") and n[4:].isdecimal()]
    count = max(numbers, default=0) + 1
    if not 1 < count <= _MOST_CPUS:
        return
    cpu = tf.config.list_physical_devices("CPU")[0]
    # Once something was computed it is too late, and the devices that are there are told.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )


def _tpu(address: str | None, devices: Sequence[str], seconds: float) -> tf.distribute.Strategy:
    if address is None:
        raise UserError(
            "runtime.strategy = 'tpu': which one? Set runtime.tpu to its name or address, or to "
            "'local' on a TPU VM"
        )
    if devices:
        raise UserError("runtime.devices is for CPUs and GPUs; leave it out with a TPU")
    silent = (
        f"runtime.tpu = {address!r}: no answer within {seconds:g} s; give the name or grpc:// "
        "address of one that runs, or raise runtime.wait_for_workers"
    )
    try:
        with _no_longer_than(seconds, silent):
            return distribute_utils.get_distribution_strategy(TPU, tpu_address=address)
    except (tf.errors.OpError, OSError, ValueError, RuntimeError, LookupError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"runtime.tpu = {address!r}: no such TPU can be had from here ({reason}); give the "
            "name or grpc:// address of one that runs, or 'local' on a TPU VM"
        ) from None


def _multi_worker(
    workers: cluster.Cluster, devices: Sequence[str], seconds: float
) -> tf.distribute.Strategy:
    if devices:
        _show_only(devices)
    cluster.meet(workers, seconds)
    # Should one end in this moment, the others would wait for it without an end.
    silent = (
        f"another worker has ended, or does not answer within {seconds:g} s; start all "
        f"{len(workers.addresses)} again"
    )
    with _no_longer_than(seconds, silent), _own_signals():
        strategy = distribute_utils.get_distribution_strategy(MULTI_WORKER)
    each = len(strategy.extended.worker_devices)
    print(
        f"worker {workers.index} of {len(workers.addresses)}, {strategy.num_replicas_in_sync} "
        f"replicas, {each} of them here",
        file=sys.stderr,
    )
    return strategy


def _show_only(devices: Sequence[str]) -> None:
    """Hides the GPUs of this worker that are not named: TensorFlow would use all of them."""
    gpus = {plain(d.name.removeprefix("/physical_")): d for d in _gpus()}
    names = [plain(device) for device in devices]
    for device, name in zip(devices, names):
        if name not in gpus and name != "CPU:0":
            raise UserError(
                f"runtime.devices: no {device!r} here; there are {', '.join(('CPU:0', *gpus))}"
            )
    tf.config.set_visible_devices([gpus[name] for name in names if name in gpus], "GPU")


def _gpus() -> list:
    return tf.config.list_physical_devices("GPU")


@contextlib.contextmanager
def _no_longer_than(seconds: float, line: str) -> Iterator[None]:
    """Ends the process with a line if its block takes longer, even if it cannot be interrupted."""
    timer = threading.Timer(seconds, _end, [line])
    timer.daemon = True
    with open(os.devnull, "w") as nowhere:
        # For a block that lets no other thread of Python run.
        faulthandler.dump_traceback_later(seconds + 5, exit=True, file=nowhere)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            faulthandler.cancel_dump_traceback_later()


def _end(line: str) -> None:
    print(f"{pathlib.Path(sys.argv[0]).name}: {line}", file=sys.stderr, flush=True)
    os._exit(RunError.exit_code)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Puts back what SIGTERM does: TensorFlow's servers only note it for others to ask about."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
