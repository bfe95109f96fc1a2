"""The folder in which a worker of a run keeps its files: the run's own for the chief alone.

Every worker must take part where a checkpoint is saved, since batch norm's statistics are averaged
then. So all run the same program, and the others write what they would write to a temporary folder
that starts as a copy of the run's, as the Model Garden's trainer has them do with checkpoints. They
thereby decide the same from the same files.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator

import tensorflow as tf

from mosaic.checkpoints.run_folder import make_consistent
from mosaic.distribution import workers
from mosaic.utils.atomic_io import locked, scratch
from mosaic.utils.errors import RunError, UserError
from mosaic.utils.run_layout import BEST_FOLDER


@contextlib.contextmanager
def own_folder(model_dir: str) -> Iterator[str]:
    """Yields the folder for the files of this worker; all workers must be in the block together.

    Args:
      model_dir: folder of the run. Workers that are not the chief print nothing in the block.

    Raises:
      UserError: another process trains there.
    """
    if workers.is_chief():
        with locked(model_dir):
            if workers.count() > 1:
                make_consistent(model_dir)
            # The others copy between these two.
            workers.wait()
            workers.wait()
            yield model_dir
        return
    workers.wait()
    with scratch() as folder:
        _copy(model_dir, folder)
        workers.wait()
        print(
            "this worker computes; the chief tells how it goes, and writes checkpoints, records "
            f"and exports to {model_dir}",
            file=sys.stderr,
            flush=True,
        )
        with (
            _named(folder, model_dir),
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stderr(nowhere),
        ):
            yield folder


@contextlib.contextmanager
def _named(folder: str, model_dir: str) -> Iterator[None]:
    """Names the run's folder in errors, and not the copy."""
    try:
        yield
    except (UserError, RunError) as error:
        # Gin, and errors of their own classes, take other arguments.
        kind = UserError if error.exit_code == UserError.exit_code else RunError
        raise kind(str(error).replace(folder, model_dir)) from None


def _copy(model_dir: str, folder: str) -> None:
    """Copies what decides how a run goes on: records, the latest and the best checkpoint."""
    for name in (".", BEST_FOLDER):
        source, target = pathlib.Path(model_dir, name), pathlib.Path(folder, name)
        latest = os.path.basename(tf.train.latest_checkpoint(str(source)) or "")
        if not source.is_dir():
            continue
        target.mkdir(exist_ok=True)
        for path in source.iterdir():
            is_older = path.name.startswith("ckpt-") and path.stem != latest
            if path.is_file() and not path.name.startswith(".") and not is_older:
                shutil.copyfile(path, target / path.name)
        if latest:
            # The list names the older ones too, and perhaps by whole paths.
            path = str(target / latest)
            tf.compat.v1.train.update_checkpoint_state(str(target), path, [path])


def check_same_step(step: int) -> None:
    """Checks that a worker goes on at the chief's step. All workers must call it.

    Raises:
      UserError: it does not, since it cannot read the run's folder.
    """
    chief = workers.of_chief(step)
    if step != chief:
        raise UserError(
            f"the chief goes on at step {chief}, and this worker would at step {step}: --model_dir "
            "must be a folder that all workers can read, as on a shared file system"
        )
