"""Wall time of commands, and their exit codes.

python benchmarks/commands.py --output=OUT "python train.py --help" "python train.py --gin_fil=x"

The commands take turns. `make` commands are best measured with --turns=1, in a fresh clone.
"""

from __future__ import annotations

import subprocess
import time

import common


def main() -> None:
    """Measures."""
    parser = common.parser(__doc__, turns=5)
    parser.add_argument("commands", nargs="+", metavar="COMMAND")
    values = parser.parse_args()
    seconds: dict[str, list[float]] = {command: [] for command in values.commands}
    codes = {}
    for _ in range(values.turns):
        for command, found in seconds.items():
            start = time.perf_counter()
            codes[command] = subprocess.run(command, shell=True, capture_output=True).returncode
            found.append(time.perf_counter() - start)
    metrics = {command: common.spread(found) for command, found in seconds.items()}
    for command, found in metrics.items():
        bounds = f"{found['least']:.2f} to {found['most']:.2f}"
        print(f"{found['median']:8.2f} s ({bounds})  exit code {codes[command]}  {command}")
    common.save(values, seconds=metrics, exit_codes=codes)


if __name__ == "__main__":
    main()
