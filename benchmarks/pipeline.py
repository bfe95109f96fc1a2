"""Training pipeline: images a second of ours and of the Model Garden's parser, same frames.

python benchmarks/pipeline.py --output=OUT

1024x2048 PNG frames of some 3 to 4 MB; scale 0.5 to 2, crop 1024x2048, mirror. The two take turns,
and medians of their turns are compared. Each turn starts its stream anew and warms it up, so that
no turn is helped by what was read ahead before it, nor hindered by the other's reading ahead.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
import time

import frames
import tensorflow as tf
from official.vision.configs import semantic_segmentation as garden_config
from official.vision.tasks.semantic_segmentation import SemanticSegmentationTask

import common
from data.cityscapes import cityscapes
from data.pipeline import Augment


def garden(folder: pathlib.Path, batch_size: int) -> tf.data.Dataset:
    """The Garden's training batches, by its own task."""
    data = garden_config.DataConfig(
        input_path=str(folder / "train.tfrecord"),
        output_size=list(frames.SIZE),
        crop_size=list(frames.SIZE),
        global_batch_size=batch_size,
        is_training=True,
        aug_scale_min=0.5,
        aug_scale_max=2.0,
        aug_rand_hflip=True,
        shuffle_buffer_size=16,
        dtype="float32",
    )
    task = SemanticSegmentationTask(
        garden_config.SemanticSegmentationTask(train_data=data, validation_data=data)
    )
    return task.build_inputs(data)


def ours(folder: pathlib.Path, batch_size: int) -> tf.data.Dataset:
    """Our training batches of the same records."""
    augment = Augment(crop_size=frames.SIZE, scale=(0.5, 2.0))
    return cityscapes(str(folder), augment).train_batches(batch_size, seed=0)


def rate(stream: tf.data.Dataset, warm_up: int, count: int, batch_size: int) -> float:
    """Returns images per second over `count` batches, after `warm_up` others."""
    batches = iter(stream)
    for _ in range(warm_up):
        next(batches)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return count * batch_size / (time.perf_counter() - start)


def main() -> None:
    """Measures."""
    parser = common.parser(__doc__, turns=5)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--batches", type=int, default=8, help="In one turn.")
    parser.add_argument("--warm_up", type=int, default=5, help="Batches before each turn.")
    values = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = frames.write(pathlib.Path(temporary), values.frames)
        size = (folder / "train.tfrecord").stat().st_size / values.frames / 1e6
        # Our records are written too, but not among the user's.
        os.environ["TFDS_DATA_DIR"] = temporary
        streams = {
            "Garden": garden(folder, values.batch_size),
            "ours": ours(folder, values.batch_size),
        }
        rates: dict[str, list[float]] = {name: [] for name in streams}
        for _ in range(values.turns):
            for name, stream in streams.items():
                found = rate(stream, values.warm_up, values.batches, values.batch_size)
                rates[name].append(found)
    common.finish(rates, values, frame_megabytes=size)


if __name__ == "__main__":
    main()
