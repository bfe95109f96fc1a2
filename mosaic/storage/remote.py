"""What is asked of other storage: which files are there, and one line for what cannot be done."""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Collection, Iterator

import tensorflow as tf

from mosaic.utils.errors import UserError

# They know buckets and files, no folders, and a file appears only once it is complete.
OBJECT_STORES = ("gs://", "s3://")


@contextlib.contextmanager
def told(path: str) -> Iterator[None]:
    """Tells in one line what cannot be done on a storage.

    Raises:
      UserError: TensorFlow's file system has failed.
    """
    try:
        yield
    except tf.errors.OpError as error:
        # The storage's own words, if it has said any.
        text = " ".join(str(error).split())
        said = re.search(r'"message": ?"([^"]*)"|error details: (.*)', text)
        reason = ((said[1] or said[2]) if said else text)[:240]
        denied = isinstance(error, tf.errors.PermissionDeniedError)
        mend = "; give this account the right to, or take another's credentials" if denied else ""
        raise UserError(f"{path}: cannot be read or written ({reason}){mend}") from None


def names(path: str, unread: Collection[str] = ()) -> list[str]:
    """Returns the files at a path, as what follows it in their names.

    Args:
      path: path of a folder, of a file, or of a checkpoint's files without their ends.
      unread: names of folders in it whose files are left out.

    Returns:
      Such as `/best_ckpt/checkpoint`; "" for a file itself, `.index` for one of a checkpoint;
      nothing where nothing is.

    Raises:
      UserError: its bucket is not there.
      OpError: it cannot be read.
    """
    is_bucket = path.rpartition("/")[0].endswith("/")
    if not is_bucket and tf.io.gfile.exists(f"{path}.index"):
        return [file.removeprefix(path) for file in tf.io.gfile.glob(f"{glob.escape(path)}.*")]
    # Only `stat` tells a folder that is not there from one that cannot be read: `isdir` is False,
    # and `walk` finds nothing, for both.
    try:
        is_folder = tf.io.gfile.stat(path).is_directory
    except tf.errors.NotFoundError:
        _check_bucket(path)
        return []
    if not is_folder:
        return [""]
    found = []
    for folder, folders, files in tf.io.gfile.walk(path, onerror=_raise):
        inside = folder.removeprefix(path).strip("/")
        folders[:] = [name for name in folders if inside or name.rstrip("/") not in unread]
        found += [f"/{inside}/{file}" if inside else f"/{file}" for file in files]
    return found


def _raise(error: tf.errors.OpError) -> None:
    raise error


def _check_bucket(path: str) -> None:
    """Raises a UserError where the bucket of a path is not there."""
    if not path.startswith(OBJECT_STORES):
        return
    bucket = "/".join(path.split("/")[:3])
    try:
        tf.io.gfile.stat(bucket)
    except tf.errors.NotFoundError:
        raise UserError(f"{path}: there is no bucket {bucket}; make it, or name another") from None
    except tf.errors.PermissionDeniedError:
        pass  # many may use what is in a bucket, and not ask for the bucket itself
