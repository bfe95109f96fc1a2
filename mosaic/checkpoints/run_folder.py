"""A run's folder of checkpoints: keeping it consistent, and what it says about a model."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Iterator, Sequence

import tensorflow as tf
import tf_keras

from mosaic import config
from mosaic.checkpoints import loading, run_changes
from mosaic.models import quantization_aware
from mosaic.models.variables import Variables
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils import class_names
from mosaic.utils.errors import UserError
from mosaic.utils.model_format import is_there
from mosaic.utils.run_layout import BEST_FOLDER, CONFIG, METRIC, SAVED_MODEL
from mosaic.utils.storage_paths import is_remote


def check_start(folder: str, init_checkpoint: str | None) -> None:
    """Checks before long work that the checkpoint that a new run starts from is there.

    Raises:
      UserError: it is not, and the run's folder has no checkpoint to continue from either.
    """
    resumes = os.path.exists(os.path.join(folder, "checkpoint"))
    if not init_checkpoint or resumes:
        return
    if is_remote(init_checkpoint):
        if init_checkpoint.endswith(".tflite"):
            raise UserError(
                f"INIT_CHECKPOINT={init_checkpoint}: a TFLite file must be on this machine; copy it"
            )
        return
    if not is_there(init_checkpoint):
        raise UserError(
            f"INIT_CHECKPOINT={init_checkpoint}: no such file or folder; None starts from scratch"
        )


def prepare(folder: str, model: tf_keras.Model, classes: Sequence[str] = ()) -> None:
    """Makes a run's folder consistent before training starts or continues there.

    Args:
      folder: folder of the run; it need not exist yet.
      model: network that is to be trained.
      classes: names of its classes, to be compared with the run's; none are not compared.

    Raises:
      UserError: its latest checkpoint is damaged, or of another network, optimizer or classes, or
        no state file lists its checkpoints.
    """
    make_consistent(folder)
    latest = tf.train.latest_checkpoint(folder)
    if not latest:
        return
    try:
        saved = loading.read(latest)
        quantization_aware.check_kind(model, latest, saved.arrays)
    except loading.Damaged as error:
        raise UserError(f"{latest}: cannot be restored ({error.reason}); {_mend(latest)}") from None
    run_changes.check_network(folder, model, saved)
    run_changes.check_optimizer(folder)
    run_changes.check_classes(folder, classes)
    _check_own(model, saved, "take another --model_dir, or the configuration of this folder's run")


def make_consistent(folder: str) -> None:
    """Makes the files of a run's folder agree, and forgets a run that has done no step.

    Raises:
      UserError: as for `tidy`.
    """
    tidy(folder)
    tidy(os.path.join(folder, BEST_FOLDER))
    forget_start(folder)


def _mend(latest: str) -> str:
    """How a run goes on without its latest checkpoint."""
    said = loading.state(os.path.dirname(latest))
    listed = said.all_model_checkpoint_paths if said else ()
    before = [path for path in listed if path != latest and os.path.exists(f"{path}.index")]
    if not before:
        return "no checkpoint is before it: put an intact copy back, or take another --model_dir"
    return (
        f"put an intact copy back, or move {latest}.* away and run again to go on from the "
        f"checkpoint before, {before[-1]}"
    )


def _check_own(model: tf_keras.Model, saved: Variables, mend: str) -> None:
    """Checks that a checkpoint in a run's folder is one that this run can have written."""
    try:
        if saved.format != "mosaic":
            raise UserError(f"{saved.path}: not a checkpoint of a run of this project")
        loading.check_fit(model, saved)
    except UserError as error:
        raise UserError(f"{error}; {mend}") from None


def check_best(folder: str, model: tf_keras.Model) -> None:
    """Checks a run's best checkpoint before steps are done: after the last it will be exported.

    Args:
      folder: folder of the run.
      model: network that is trained.

    Raises:
      UserError: it is damaged, or of another network.
    """
    best = os.path.join(folder, BEST_FOLDER)
    latest = tf.train.latest_checkpoint(best)
    if not latest:
        return
    mend = (
        f"put an intact copy back, or move {best} away and run again: the best network is then "
        "that of the evaluations from here on"
    )
    try:
        saved = loading.read(latest)
    except loading.Damaged as error:
        raise UserError(f"{latest}: cannot be restored ({error.reason}); {mend}") from None
    _check_own(model, saved, mend)


def tidy(folder: str) -> None:
    """Makes a checkpoint folder's files and its state file agree.

    Files that a killed process left incomplete are removed. Checkpoints that the user removed are
    taken out of the state file, so that a run continues from the one before. Complete checkpoints
    stay, listed or not.

    Raises:
      UserError: there are complete checkpoints, but no state file that lists any of them.
    """
    names = os.listdir(folder) if os.path.isdir(folder) else []
    # TensorFlow writes the index last.
    found = (re.fullmatch(r"ckpt-(\d+)\.index", name) for name in names)
    steps = sorted(int(match[1]) for match in found if match)
    whole = [f"ckpt-{step}" for step in steps]
    state = loading.state(folder)
    listed = state.all_model_checkpoint_paths or [state.model_checkpoint_path] if state else []
    there = [path for path in listed if os.path.exists(f"{path}.index")]
    if whole and not there:
        # The score is written first, then the checkpoint, then the state: only the last was
        # missing.
        scored = [f"ckpt-{step}" for step in steps if f"{METRIC}-{step}.json" in names]
        if not scored:
            raise UserError(
                f"{folder}: {', '.join(whole)} in it, but no state file that lists any of them; "
                "take another --model_dir or move them away, or to go on from the last, write "
                f'model_checkpoint_path: "{whole[-1]}" into {os.path.join(folder, "checkpoint")}'
            )
        there = [os.path.join(folder, scored[-1])]
    if there and there != list(listed):
        tf.compat.v1.train.update_checkpoint_state(folder, there[-1], there)
    for name in names:
        path = os.path.join(folder, name)
        checkpoint = re.fullmatch(r"(ckpt-\d+)\.(index|data-\d+-of-\d+)(\.tempstate\d+)?", name)
        score = re.fullmatch(rf"{METRIC}-(\d+)\.json", name)
        if re.fullmatch(r"ckpt-\d+_temp", name):
            shutil.rmtree(path)
        elif (
            (checkpoint and checkpoint[1] not in whole)
            or (score and f"ckpt-{score[1]}" not in whole)
            or name.startswith("checkpoint.tmp")
            or (name == "checkpoint" and not there)
        ):
            os.remove(path)


def forget_start(folder: str) -> None:
    """Removes a checkpoint of step 0: a run that got no further starts anew, as configured now.

    One that holds something else than untrained weights of a run stays.
    """
    latest = tf.train.latest_checkpoint(folder) or ""
    if os.path.basename(latest) == "ckpt-0" and _is_start(latest):
        tf.compat.v1.train.remove_checkpoint(latest)
        os.remove(os.path.join(folder, "checkpoint"))


def _is_start(path: str) -> bool:
    try:
        saved = loading.read(path)
    except loading.Damaged:
        return True  # a process was killed while it wrote it
    except UserError:
        return False
    return saved.format == "mosaic" and not saved.step


def set_aside_later(folder: str) -> None:
    """Moves away a best checkpoint that is later than the step where training continues.

    Its steps will be repeated, perhaps with other results, and its score would be compared with
    theirs.
    """
    best = os.path.join(folder, BEST_FOLDER)
    steps = [
        int(latest.rpartition("-")[2]) if latest else 0
        for latest in map(tf.train.latest_checkpoint, (best, folder))
    ]
    if steps[0] <= steps[1]:
        return
    aside = next(
        name
        for name in (f"{best}.before{number}" for number in itertools.count(1))
        if not os.path.exists(name)
    )
    os.rename(best, aside)
    print(
        f"warning: {best} is of step {steps[0]}, and training goes on at {steps[1]}: moved to "
        f"{aside}",
        file=sys.stderr,
    )


def announce_first(folder: str) -> None:
    """Lists a run's first checkpoint, of step 0, before it is saved.

    Otherwise a process killed before TensorFlow lists it would leave a checkpoint that `tidy` takes
    for someone else's.
    """
    os.makedirs(folder, exist_ok=True)
    tf.compat.v1.train.update_checkpoint_state(folder, os.path.join(folder, "ckpt-0"))


@contextlib.contextmanager
def restoring(folder: str) -> Iterator[None]:
    """Turns a failure to restore the latest checkpoint of a folder into one line with the fix."""
    latest = tf.train.latest_checkpoint(folder)
    try:
        yield
    except loading.DAMAGE as error:
        if latest is None or isinstance(error, UserError):
            raise
        # Its bytes are those that were written (`prepare`): the configuration is another.
        reason = str(error).splitlines()[0]
        changed = run_changes.said(config.network_changes(folder))
        fix = (
            f"{changed}: set it back, or take another --model_dir"
            if changed
            else "take the configuration of this folder's run, or another --model_dir"
        )
        raise UserError(f"{latest}: cannot be restored ({reason}); {fix}") from None


def done(folder: str) -> int:
    """Returns the step of the latest checkpoint of a run, 0 if there is none."""
    latest = tf.train.latest_checkpoint(folder) or ""
    found = re.search(r"ckpt-(\d+)$", latest)
    return int(found[1]) if found else 0


def saved_configuration(path: str | os.PathLike) -> str | None:
    """Returns the path of the config.gin that lies with a checkpoint or in its run's folder.

    Args:
      path: path of a checkpoint: a folder or a prefix of files. Of an archive and of an exported
        file, what lies beside it tells nothing.
    """
    path = os.fspath(path)
    if os.path.isfile(path):
        return None
    folder = path if os.path.isdir(path) else os.path.dirname(os.path.abspath(path))
    places = (os.path.join(p, CONFIG) for p in (folder, os.path.dirname(os.path.abspath(folder))))
    return next(filter(os.path.isfile, places), None)


def has_classes(path: str) -> bool:
    """Whether a checkpoint's folder names the classes, as in folders that this project writes."""
    if os.path.isfile(path):
        return False  # an archive: files beside it need not belong to it
    folder = path if os.path.isdir(path) else os.path.dirname(os.path.abspath(path))
    return os.path.isfile(os.path.join(folder, class_names.FILE))


def steps_of(path: str | TFLiteModel, loaded: Variables | None = None) -> int | None:
    """Returns the number of steps that this project trained a model, or None if unknown.

    A run's best checkpoint and its SavedModel were chosen from the whole run: they have the number
    of steps of its latest checkpoint. Others have their own.

    Args:
      path: path of a checkpoint or of a SavedModel's folder, or an opened TFLite file.
      loaded: variables that were read from there, if it is a checkpoint.
    """
    if isinstance(path, TFLiteModel):
        return tflite_metadata.read(path).steps
    if loaded and loaded.format != "mosaic":
        # Step 0 stands for an unknown one.
        return (loaded.step or None) if has_classes(path) else None
    found = [loaded.step] if loaded else []
    place = pathlib.Path(os.path.abspath(path))
    for folder in (place, place.parent):
        if folder.name in (BEST_FOLDER, SAVED_MODEL):
            latest = tf.train.latest_checkpoint(str(folder.parent)) or ""
            found += map(int, re.findall(r"/ckpt-(\d+)$", latest))
    return max((steps for steps in found if steps is not None), default=None)
