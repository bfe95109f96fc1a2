"""TFLite files on a connected Android phone, by TensorFlow Lite's `benchmark_model`."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Sequence

from mosaic.utils.errors import RunError, UserError

FOLDER = "/data/local/tmp"
BINARY = f"{FOLDER}/benchmark_model"
_HOW = "https://ai.google.dev/edge/litert/models/measurement has it to download"
# Flags of benchmark_model for where it computes.
DELEGATES = {
    "cpu": "--use_xnnpack=true",
    "gpu": "--use_gpu=true",
    "nnapi": "--use_nnapi=true",
}
# Its own words, and ours, for the part of the network that a delegate took.
_TAKEN = re.compile(r"will (not be|be partially|be completely) executed by the delegate")
_PARTS = {"not be": "none", "be partially": "some", "be completely": "all"}
_FIGURE = re.compile(r"(\w+)=([\d.]+(?:e[+-]?\d+)?)")


@dataclasses.dataclass(frozen=True)
class PhoneResult:
    """Measurements that benchmark_model reported.

    Attributes:
      phone: name of the phone's model.
      runs: number of timed runs.
      mean: mean time of a run, in milliseconds.
      deviation: standard deviation of the times, in milliseconds.
      least: time of the fastest run, in milliseconds.
      median: median time, in milliseconds; None where an old benchmark_model does not report it.
      memory: growth of the tool's memory footprint, in bytes; None where it is not reported.
      percentile_95: time that 95 of 100 runs keep to, in milliseconds; benchmark_model reports no
        90th percentile. None where it reports neither.
      delegate: where it computed, a key of `DELEGATES`.
      taken: part of the network that the delegate computed: `all`, `some` or `none`; None where
        benchmark_model does not say.
    """

    phone: str
    runs: int
    mean: float
    deviation: float
    least: float
    median: float | None
    memory: int | None
    percentile_95: float | None = None
    delegate: str = "cpu"
    taken: str | None = None


class Phone:
    """The phone that `adb` is connected to.

    Raises:
      UserError: adb, the phone, or benchmark_model on it is missing.
    """

    def __init__(self):
        if shutil.which("adb") is None:
            raise UserError("--adb: no adb on the PATH; install Android's platform tools")
        states = _states(self._devices())
        serials = [serial for serial, state in states.items() if state == "device"]
        # adb itself reads this variable.
        chosen = os.environ.get("ANDROID_SERIAL")
        if not serials or (chosen and chosen not in serials):
            name = f"phone {chosen}" if chosen else "phone"
            listed = [f"{serial} is {state}" for serial, state in states.items()]
            said = f" (adb says: {', '.join(listed)})" if listed else ""
            raise UserError(f"--adb: no {name}; connect it and allow USB debugging on it{said}")
        if len(serials) > 1 and not chosen:
            raise UserError(
                f"--adb: several phones ({', '.join(serials)}); choose one by ANDROID_SERIAL"
            )
        self.name = self._adb("shell", "getprop ro.product.model").strip()
        # adb returns exit codes only since Android 7.
        if "yes" not in self._adb("shell", f"test -x {BINARY} && echo yes || echo no"):
            raise UserError(f"--adb: no {BINARY} on the phone; push it and chmod +x ({_HOW})")

    def _devices(self) -> str:
        try:
            return self._adb("devices")
        except RunError as error:
            raise UserError(f"--adb: {error}; see that `adb devices` lists the phone") from None

    def _adb(self, *arguments: str) -> str:
        result = subprocess.run(
            ["adb", *arguments], capture_output=True, encoding="utf-8", errors="replace"
        )
        if result.returncode:
            lines = (result.stderr or result.stdout).strip().splitlines()
            reason = lines[-1] if lines else f"exit code {result.returncode}"
            raise RunError(f"adb {arguments[0]} failed: {reason}")
        # benchmark_model reports on standard error, which adb passes on.
        return result.stdout + result.stderr

    def measure(
        self, path: str, threads: int, runs: int, warmup: int, delegates: Sequence[str] = ("cpu",)
    ) -> list[PhoneResult]:
        """Pushes a TFLite file, runs it on the phone, and removes it.

        Args:
          path: path of the file.
          threads: number of threads of the interpreter, which uses XNNPACK.
          runs: number of timed runs; benchmark_model adds some until a second has passed.
          warmup: number of runs before them.
          delegates: where to run it, keys of `DELEGATES`.

        Returns:
          A result for each delegate; without those that failed, of which a warning tells.

        Raises:
          RunError: adb failed, or benchmark_model did on each delegate.
        """
        # A new name: files that are there already may be somebody else's.
        remote = f"{FOLDER}/{uuid.uuid4().hex}.tflite"
        self._adb("push", path, remote)
        command = (
            f"{BINARY} --graph={remote} --num_threads={threads} --num_runs={runs} "
            f"--warmup_runs={warmup}"
        )
        results = []
        try:
            for name in delegates:
                try:
                    output = self._adb("shell", f"{command} {DELEGATES[name]}")
                    found = parse(output, self.name, path)
                except RunError as error:
                    # Not each phone has each delegate.
                    if name == delegates[-1] and not results:
                        raise
                    print(f"warning: {name}: {error}", file=sys.stderr)
                    continue
                results.append(dataclasses.replace(found, delegate=name))
        finally:
            self._adb("shell", f"rm -f {remote}")
        return results


def _states(output: str) -> dict[str, str]:
    """The state of each phone that `adb devices` lists, `device` for ready, by its serial."""
    lines = [line.partition("\t") for line in output.splitlines() if "\t" in line]
    return {serial: state.partition(" (")[0].strip() for serial, _, state in lines}


def parse(output: str, phone: str, path: str) -> PhoneResult:
    """Parses the output of benchmark_model.

    Args:
      output: whole output; times are in microseconds, memory in units of 2^20 bytes.
      phone: name of the phone.
      path: path of the file, for messages.

    Raises:
      RunError: there are no timings in it.
    """
    lines = output.splitlines()
    # The first such line is about the warm-up, the last about the timed runs.
    timings = [dict(_FIGURE.findall(line)) for line in lines if "count=" in line]
    memory = [dict(_FIGURE.findall(line)) for line in lines if "Memory footprint delta" in line]
    if not timings or "Inference (avg)" not in output:
        errors = [line for line in lines if "ERROR" in line or "rror:" in line] or lines[-1:]
        raise RunError(f"{path}: benchmark_model failed on {phone}: {' '.join(errors[:1])}")
    found = {key: float(value) for key, value in timings[-1].items()}
    # With a single run, one number is all of these.
    only = found["curr"]
    median, slow = (None if name not in found else found[name] / 1e3 for name in ("median", "p95"))
    taken = _TAKEN.search(output)
    return PhoneResult(
        phone,
        int(found["count"]),
        found.get("avg", only) / 1e3,
        found.get("std", 0.0) / 1e3,
        found.get("min", only) / 1e3,
        median,
        int(float(memory[-1]["overall"]) * 2**20) if memory else None,
        slow,
        taken=taken and _PARTS[taken[1]],
    )
