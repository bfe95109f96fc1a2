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
from mosaic.utils.errors import UserError
from mosaic.utils.run_layout import BEST_FOLDER, METRIC

# What it has scored, a line for each checkpoint.
SCORES = "watch.jsonl"


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
    while True:
        # Looked at before the checkpoints: the last one is saved before the run's end is recorded.
        is_over = _has_ended(model_dir)
        for step, prefix in _checkpoints(model_dir):
            if step in scores:
                continue
            value = _scored(prefix, out / f"step_{step}", score)
            if value is None:
                continue
            if value >= max(scores.values(), default=0.0):
                _keep(prefix, step, value, out / BEST_FOLDER)
            scores[step] = value
            lines = [json.dumps({"step": at, METRIC: scores[at]}) for at in sorted(scores)]
            write_text(out / SCORES, "".join(f"{line}\n" for line in lines))
            best = max(scores, key=scores.get)
            print(
                f"step {step}: mIoU {value:.4f}, best {scores[best]:.4f} at step {best}", flush=True
            )
        if is_over:
            return
        time.sleep(pause)


def _scores(path: pathlib.Path) -> dict[int, float]:
    """The mIoU of each step that was scored before."""
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


def _has_ended(model_dir: str) -> bool:
    entries = run_record.entries_in(model_dir)
    return bool(entries) and entries[-1].ended is not None


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
