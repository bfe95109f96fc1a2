"""Data sets on storage that is no file system of this machine: their files are copied here once."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import shutil
import sys

import tensorflow as tf

from data.errors import DataError
from data.records import records_dir


def local_root(data_dir: str) -> pathlib.Path:
    """Returns the folder of a data set's files on this machine.

    What is at a URL that TensorFlow's file systems read, such as gs://bucket/camvid, is copied once
    to a folder beside the prepared records, which are made of it.

    Args:
      data_dir: folder or URL.

    Raises:
      DataError: it cannot be read, or there is no room for it.
    """
    if "://" not in data_dir:
        return pathlib.Path(data_dir)
    if "://" in records_dir():
        raise DataError(
            f"TFDS_DATA_DIR={records_dir()}: records are read in random order, for which they must "
            "be on this machine; name a folder here"
        )
    url = data_dir.rstrip("/")
    if "://" not in url:
        raise DataError(f"{data_dir}: no bucket or folder is named; write one after it")
    name = f"{os.path.basename(url)}_{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    folder = pathlib.Path(records_dir()) / "copies" / name
    if not folder.is_dir():
        try:
            _copy(url, folder)
        except tf.errors.OpError as error:
            # The storage's own words, if it has said any.
            text = " ".join(str(error).split())
            said = re.search(r'"message": ?"([^"]*)"|error details: (.*)', text)
            reason = ((said[1] or said[2]) if said else text)[:240]
            raise DataError(f"{data_dir}: cannot be read ({reason})") from None
    return folder


def _copy(url: str, folder: pathlib.Path) -> None:
    """Copies a folder; it gets its name once it is complete."""
    files = _files(url)
    if not files:
        raise DataError(f"{url}: no such folder, or nothing in it")
    num_bytes = sum(tf.io.gfile.stat(file).length for file in files)
    aside = folder.with_name(f"{folder.name}.incomplete{os.getpid()}")
    aside.mkdir(parents=True, exist_ok=True)
    if num_bytes > (free := shutil.disk_usage(aside).free):
        aside.rmdir()
        raise DataError(
            f"{url}: {num_bytes / 2**30:.1f} GiB, and {records_dir()} has room for "
            f"{free / 2**30:.1f}; set TFDS_DATA_DIR to a larger folder"
        )
    print(
        f"{url}: {len(files)} files are copied to {folder}; remove it when they change",
        file=sys.stderr,
    )
    try:
        for file in files:
            inside = file.removeprefix(f"{url}/")
            if ".." in inside.split("/"):
                raise DataError(f"{file}: such a name leads out of any folder; rename it")
            here = aside / inside
            here.parent.mkdir(parents=True, exist_ok=True)
            tf.io.gfile.copy(file, str(here))
        _rename(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _files(url: str) -> list[str]:
    """The files in a folder and those in it; none where it is not there.

    Only `stat` tells that from a folder that cannot be read: `walk` finds nothing in both, and
    leaves out what it cannot read for a moment.
    """
    try:
        tf.io.gfile.stat(url)
    except tf.errors.NotFoundError:
        return []
    found = tf.io.gfile.walk(url, onerror=_raise)
    return [f"{top.rstrip('/')}/{name}" for top, _, names in found for name in names]


def _raise(error: tf.errors.OpError) -> None:
    raise error


def _rename(aside: pathlib.Path, folder: pathlib.Path) -> None:
    """Gives a complete copy its name, if another process has not made the same one meanwhile."""
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(aside, ignore_errors=True)
