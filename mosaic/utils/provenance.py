"""Where a measurement came from: the command, the day, and the machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import sys

_PACKAGES = ("tensorflow", "tf-models-official", "ai-edge-litert")
# Instruction sets that the speed of convolutions depends on; recorded if the processor has them.
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "asimd", "asimddp")


def command() -> str:
    """The command that started this process."""
    program, *arguments = sys.argv
    # The console command calls itself `mosaic train` and the like.
    start = program if program.startswith("mosaic ") else f"python {shlex.quote(program)}"
    return " ".join([start, *map(shlex.quote, arguments)])


def provenance(command: str) -> dict:
    """Returns what is recorded beside every measurement.

    Args:
      command: command that repeats the measurement.

    Returns:
      `command`, `date` (ISO 8601) and `machine`.
    """
    return {"command": command, "date": f"{datetime.date.today()}", "machine": machine()}


def machine() -> dict:
    """What measurements depend on besides the models: processor, memory in GiB, and versions."""
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    known = info.get("flags", info.get("Features", "")).split()
    return {
        "processor": info.get("model name") or platform.processor() or platform.machine(),
        "instructions": [name for name in _INSTRUCTIONS if name in known],
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(terse=True),
        **versions(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that compute."""
    return {
        "python": platform.python_version(),
        **{name.replace("-", "_"): importlib.metadata.version(name) for name in _PACKAGES},
    }
