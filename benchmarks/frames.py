"""Frames of Cityscapes' size in the Model Garden's TFRecords, for benchmarks without downloads."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np
import tensorflow as tf

from data.street_scenes import drawing

SIZE = (1024, 2048)
CLASSES = 19
# Seed of the first frame of each split.
_SEEDS = {"train": 0, "val": 1000}


def write(folder: pathlib.Path, count: int) -> pathlib.Path:
    """Writes train.tfrecord and val.tfrecord with `count` frames each; returns the folder.

    Frames are drawn street scenes, whose noise makes PNGs of about 3 MB, like Cityscapes' own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split in _SEEDS:
        with tf.io.TFRecordWriter(str(folder / f"{split}.tfrecord")) as writer:
            for index in range(count):
                image, label = draw(split, index)
                writer.write(_example(image, label, f"{split}_{index:06}_000000_leftImg8bit.png"))
    return folder


def draw(split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns image and label of a frame of a split, uint8 [*SIZE, 3] and [*SIZE]."""
    return drawing.draw_scene(_SEEDS[split] + index, *SIZE)


def _example(image: np.ndarray, label: np.ndarray, name: str) -> bytes:
    def feature(content: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))

    def number(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    png = [cv2.imencode(".png", pixels)[1].tobytes() for pixels in (image[..., ::-1], label)]
    features = {
        "image/encoded": feature(png[0]),
        "image/segmentation/class/encoded": feature(png[1]),
        "image/filename": feature(name.encode()),
        "image/height": number(image.shape[0]),
        "image/width": number(image.shape[1]),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
