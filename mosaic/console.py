"""The console command `mosaic`: the commands of the repository's top level by one name."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

from mosaic.utils.pipes import reader_is_gone

# The file of each command, by its name on the command line.
COMMANDS = {
    "train": "train.py",
    "eval": "eval.py",
    "export": "export.py",
    "predict": "predict.py",
    "benchmark": "benchmark.py",
    "check-data": "check_data.py",
}
_ROOT = pathlib.Path(__file__).resolve().parent.parent
# The folder of these files: the repository, or in an installed wheel a package that holds them.
_FOLDERS = (_ROOT, _ROOT / "mosaic_commands")

_HELP = f"""mosaic COMMAND [flags]

commands: {", ".join(COMMANDS)}
`mosaic COMMAND --help` lists the flags of one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns or raises its exit code as the command itself does.

    Args:
      arguments: arguments after `mosaic`; `sys.argv`'s if None.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    name, rest = (given[0], given[1:]) if given else ("", [])
    if name in ("", "--help", "-h", "help"):
        try:
            print(_HELP, flush=True)
        except BrokenPipeError:
            reader_is_gone()
        return 0 if name else 2
    name = name.removesuffix(".py").replace("_", "-")
    if name not in COMMANDS:
        told = f"{given[0]!r} is no command; there are {', '.join(COMMANDS)}"
        print(f"mosaic: {told}", file=sys.stderr)
        return 2
    path = next(p for p in (folder / COMMANDS[name] for folder in _FOLDERS) if p.is_file())
    sys.argv = [f"mosaic {name}", *rest]
    # As Python runs a file: messages and reports then name the command that the user gave.
    exec(compile(path.read_bytes(), str(path), "exec"), {"__name__": "__main__"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
