"""Scoring of a run's checkpoints by a second process, so that training need not stop for it."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator

import tf_keras

from mosaic.checkpoints import loading, run_record
from mosaic.utils.atomic_io import replacing, write_text
from mosaic.utils.errors import UserError, check_regular
from mosaic.utils.run_layout import BEST_FOLDER, CONFIG, METRIC

# What it has scored, a line for each checkpoint.
SCORES = "watch.jsonl"
# Time without a new checkpoint after which this is told, in seconds and as a multiple of the
# longest time between two so far.
_LONG, _LONGER = 600.0, 3.0


def wait_for_start(model_dir: str, pause: float = 2.0) -> None:
    """Waits until a run has begun, which another process may do any time later.

    Args:
      model_dir: folder of the run.
      pause: seconds between two looks.

    Raises:
      UserError: there is not even the folder for the run's own, or a file is in its place.
    """
    saved = os.path.join(model_dir, CONFIG)
    parent = os.path.dirname(os.path.abspath(model_dir))
    if not os.path.isdir(parent):
        raise UserError(f"--model_dir={model_dir}: there is no folder {parent}")
    if os.path.exists(model_dir) and not os.path.isdir(model_dir):
        raise UserError(f"--model_dir={model_dir}: a file, and no folder of a run")
    check_regular(saved)
    if not os.path.isfile(saved):
        print(f"{model_dir}: waiting for a run to begin there; Ctrl-C stops", file=sys.stderr)
    while not os.path.isfile(saved):
        time.sleep(pause)


def watch(
    model_dir: str, output_dir: str, score: Callable[[str, str], dict], pause: float = 10.0
) -> None:
    """Scores every checkpoint of a run until its training has ended or was stopped.

    Args:
      model_dir: folder of the run.
      output_dir: folder for step_N/ with each report, watch.jsonl with each mIoU, and best_ckpt/,
        the best of them in the form of a run's. What is there from before is not scored again.
      score: function of a checkpoint's path and of a folder for its report, which it returns.
      pause: seconds between two looks at the run's folder.

    Raises:
      UserError: there is no such folder, or a checkpoint cannot be scored.
    """
    if not os.path.isdir(model_dir):
        raise UserError(f"{model_dir}: no such folder to watch; give that of a run")
    out = pathlib.Path(output_dir)
    scores = _scores(out / SCORES)
    print(f"watching {model_dir}; Ctrl-C stops", file=sys.stderr)
    news = _News()
    while True:
        # Looked at before the checkpoints: the last one is saved before the run's end is recorded.
        ended = _ended(model_dir)
        for step, prefix in _checkpoints(model_dir):
            if step in scores:
                continue
            value = _scored(prefix, out / f"step_{step}", score)
            if value is None:
                continue
            if value >= max(scores.values(), default=0.0):
                _keep(prefix, step, value, out / BEST_FOLDER)
            scores[step] = value
            news.came()
            lines = [json.dumps({"step": at, METRIC: scores[at]}) for at in sorted(scores)]
            write_text(out / SCORES, "".join(f"{line}\n" for line in lines))
            best = max(scores, key=scores.get)
            print(
                f"step {step}: mIoU {value:.4f}, best {scores[best]:.4f} at step {best}", flush=True
            )
        if ended is not None:
            print(f"{model_dir}: training has ended at step {ended}", file=sys.stderr)
            return
        if minutes := news.missed():
            print(
                f"{model_dir}: no new checkpoint for {minutes} minutes; if its training was "
                "killed, start it again, or end this by Ctrl-C",
                file=sys.stderr,
            )
        time.sleep(pause)


class _News:
    """When checkpoints came, to tell once where none does for long."""

    def __init__(self):
        self._last, self._longest, self._is_told = time.monotonic(), 0.0, False

    def came(self) -> None:
        """Notes that one came."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last, self._is_told = now, False

    def missed(self) -> int | None:
        """Returns for how many minutes none came, where that is long and was not told before."""
        waited = time.monotonic() - self._last
        if self._is_told or waited < max(_LONG, _LONGER * self._longest):
            return None
        self._is_told = True
        return round(waited / 60)


def _scores(path: pathlib.Path) -> dict[int, float]:
    """The mIoU of each step that was scored before."""
    check_regular(path)
    if not path.is_file():
        return {}
    try:
        entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return {int(entry["step"]): float(entry[METRIC]) for entry in entries}
    except (ValueError, TypeError, LookupError, RecursionError):
        raise UserError(
            f"{path}: not what was scored before; move it away to score all checkpoints again"
        ) from None


def _checkpoints(model_dir: str) -> Iterator[tuple[int, str]]:
    """The steps and paths of a run's checkpoints, oldest first, without that of no training."""
    state = loading.state(model_dir)
    for path in state.all_model_checkpoint_paths if state else ():
        name = os.path.basename(path)
        step = name.rpartition("-")[2]
        prefix = os.path.join(model_dir, name)
        if step.isdecimal() and int(step) and os.path.exists(f"{prefix}.index"):
            yield int(step), prefix


def _ended(model_dir: str) -> int | None:
    """The step at which training has ended or was stopped; None while it goes on."""
    entries = run_record.entries_in(model_dir)
    return entries[-1].ended if entries else None


def _scored(prefix: str, folder: pathlib.Path, score: Callable[[str, str], dict]) -> float | None:
    """The mIoU of a checkpoint; None where training has removed it meanwhile."""
    try:
        value = score(prefix, str(folder))[METRIC]
    except UserError:
        if os.path.exists(f"{prefix}.index"):
            raise
        print(f"warning: {prefix} was removed before it was scored", file=sys.stderr)
        return None
    finally:
        tf_keras.backend.clear_session()  # each network is built anew
    if value is None:
        raise UserError(f"{prefix}: nothing is labelled in what it is scored on; set --split")
    return value


def _keep(prefix: str, step: int, value: float, best: pathlib.Path) -> None:
    """Copies a checkpoint, and what tells of its run, in the form of a run's best_ckpt/."""
    source = pathlib.Path(prefix)
    with replacing(best) as aside:
        aside.mkdir()
        for file in source.parent.glob(f"{source.name}.*"):
            shutil.copy(file, aside)
        run_record.copy(source.parent, aside)
        write_text(
            aside / f"{METRIC}-{step}.json", json.dumps({METRIC: value, "step": step}) + "\n"
        )
        (aside / "checkpoint").write_text(f'model_checkpoint_path: "{source.name}"\n')
