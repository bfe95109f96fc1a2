"""Records of prepared data sets: their features, how they are written, and where."""

from __future__ import annotations

import hashlib
import os
import pathlib
import sys
import tempfile

import cv2
import numpy as np
import tensorflow_datasets as tfds

from data.errors import DataError


def png_features(size: tuple[int | None, int | None]) -> tfds.features.FeaturesDict:
    """Returns features of an image, a label and a name; height and width are None if they vary."""
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(*size, 3), encoding_format="png"),
            "label": tfds.features.Image(shape=(*size, 1), encoding_format="png"),
            "id": tfds.features.Text(),
        }
    )


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


def prepare(
    builder: tfds.core.DatasetBuilder, config: tfds.download.DownloadConfig | None = None
) -> tfds.core.DatasetBuilder:
    """Writes the builder's records if they are not there yet, and returns the builder.

    TFDS writes into a temporary folder and renames it at the end, so that an interrupted
    preparation leaves nothing that looks complete.

    Raises:
      DataError: there are no records yet, and their folder cannot be written to.
    """
    if not builder.is_prepared():
        _check_writable(builder.data_path)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder.download_and_prepare(download_config=config)
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
