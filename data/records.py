"""Records of prepared data sets: their features, how they are written, and where."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator

import cv2
import numpy as np
import tensorflow_datasets as tfds
from google.protobuf import json_format

from data.errors import DataError

# Errors of TFDS, protobuf and array_record for files that are missing or damaged.
_UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, IndexError, json_format.Error)


def png_features(size: tuple[int | None, int | None]) -> tfds.features.FeaturesDict:
    """Returns features of an image, a label and a name; height and width are None if they vary."""
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(*size, 3), encoding_format="png"),
            "label": tfds.features.Image(shape=(*size, 1), encoding_format="png"),
            "id": tfds.features.Text(),
        }
    )


class Info(tfds.core.DatasetInfo):
    """Information on records of this project's own.

    TFDS would look in its bucket for what it knows of them, and leave an empty folder behind.
    """

    def initialize_from_bucket(self) -> None:
        """Does nothing: the bucket knows TFDS's own data sets."""


def encode_label(label: np.ndarray) -> bytes:
    """Returns labels, uint8 [height, width], as a PNG that decodes fast.

    Without row filters and with long matches of zlib, a label of 1024x2048 decodes in a quarter of
    the time of a PNG that TensorFlow has encoded, and has twice the bytes.
    """
    settings = {
        cv2.IMWRITE_PNG_FILTER: cv2.IMWRITE_PNG_FILTER_NONE,
        cv2.IMWRITE_PNG_STRATEGY: cv2.IMWRITE_PNG_STRATEGY_DEFAULT,
        cv2.IMWRITE_PNG_COMPRESSION: 3,
    }
    return cv2.imencode(".png", label, [x for pair in settings.items() for x in pair])[1].tobytes()


@contextlib.contextmanager
def readable(folder: str | os.PathLike) -> Iterator[None]:
    """Tells of whatever cannot be read in its block as damage of the records in a folder.

    Raises:
      DataError: reading failed; the message names the folder and says what to do with it.
    """
    try:
        yield
    except DataError:
        raise
    except _UNREADABLE as error:
        reason = " ".join(str(error).partition(";")[0].split())
        raise DataError(
            f"{folder}: damaged records ({reason}); delete this folder: it is made again from the "
            "data set's own files"
        ) from None


def prepare(
    kind: type[tfds.core.GeneratorBasedBuilder], data_dir: str, config: tfds.core.BuilderConfig
) -> tfds.core.DatasetBuilder:
    """Writes a builder's records if they are not there yet, and returns the builder.

    TFDS writes into a temporary folder and renames it at the end, so that an interrupted
    preparation leaves nothing that looks complete.

    Args:
      kind: class of the builder.
      data_dir: folder of all records.
      config: configuration of the builder, with the name of these records.

    Raises:
      DataError: records that are there are damaged, or what they are made from is; or there are
        none yet, and their folder cannot be written to.
    """
    folder = pathlib.Path(data_dir) / kind.name / config.name / str(kind.VERSION)
    with readable(folder):
        builder = kind(data_dir=data_dir, config=config, file_format="array_record")
    if not builder.is_prepared():
        _check_writable(builder.data_path)
        print(f"{folder}: preparing these records, once for the same files", file=sys.stderr)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    # TFDS tells of a download, of unknown size; nothing is downloaded.
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare()
    with readable(folder):
        # TFDS takes a folder without its description for one with no splits.
        if not builder.info.splits:
            raise FileNotFoundError("dataset_info.json is missing")
    return builder


def _check_writable(folder: pathlib.Path) -> None:
    """Raises a DataError for a folder that cannot be made or written to."""
    if "://" in str(folder):
        return  # TFDS has file systems of its own.
    path = pathlib.Path(folder).absolute()
    try:
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        # Permissions alone do not show it: the file system may be read-only or virtual.
        with tempfile.TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        root = pathlib.Path(records_dir()).absolute()
        is_set = path.is_relative_to(root)
        place = f"TFDS_DATA_DIR={root}" if is_set else f"data_dir={path}"
        raise DataError(
            f"{place}: the folder of prepared records cannot be written to ({error.strerror}); "
            + ("set TFDS_DATA_DIR to another folder" if is_set else "name another folder")
        ) from None


def records_dir() -> str:
    """Returns the folder of records, as in TFDS: `$TFDS_DATA_DIR` or ~/tensorflow_datasets."""
    return os.path.expanduser(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def fingerprint(root: pathlib.Path, files: list[pathlib.Path], settings: str = "") -> str:
    """Returns 12 hex digits of the files' names, sizes and times, and of the settings.

    Other files or other settings lead to other records.
    """
    digest = hashlib.sha256(f"{root.resolve()}\0{settings}\0".encode())
    for file in files:
        stat = file.stat()
        name = file.relative_to(root).as_posix()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
