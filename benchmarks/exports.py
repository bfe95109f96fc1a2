"""TFLite files that this project writes: latency and memory beside published ones, or alone.

python benchmarks/exports.py --images=PHOTOS --output_dir=OUT \
    --published=mosaic_r4=mosaic_r4_ade20k_uint8.tflite \
    --published=deeplab_mlperf=deeplabv3_mnv2_ade20k_uint8.tflite
python benchmarks/exports.py --size=1024x2048 --output_dir=OUT

With --published=MODEL=FILE, MODEL of configs/models, the weights of each file are imported and
written as int8 files that answer labels: by a plain conversion, by this project, and by this
project with int8 input. Without, it is the 77.24 configuration with random weights, as float32 and
int8. The files and benchmark.json are left in --output_dir.
"""

from __future__ import annotations

import argparse
import pathlib

import gin
import numpy as np
import tensorflow as tf
import tf_keras

import common  # noqa: F401 - makes this project's modules importable
import mosaic.training.train_loop
from data.street_scenes import drawing
from mosaic import cli, config
from mosaic.benchmark import report
from mosaic.benchmark.measure import benchmark
from mosaic.export import tflite, tolerances
from mosaic.inference.image_files import find, read
from mosaic.inference.predictors import fit_image
from mosaic.models.mosaic import mosaic
from mosaic.models.resizing import resize_bilinear, rule_of
from mosaic.tflite.model_file import TFLiteModel
from mosaic.tflite.weights import load
from mosaic.utils.provenance import command


def plain(
    model: tf_keras.Model, images: list[np.ndarray], path: str, size: tuple[int, int]
) -> None:
    """Writes an int8 file as in TensorFlow's documentation."""

    @tf.function(input_signature=[tf.TensorSpec([1, *size, 3], tf.float32)])
    def labels(pixels):
        logits = resize_bilinear(model(pixels, training=False), size, rule_of(model))
        return tf.argmax(logits, -1, output_type=tf.int32)

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [labels.get_concrete_function()], model
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [fit_image(image, size)[np.newaxis].astype(np.float32)] for image in images
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    pathlib.Path(path).write_bytes(converter.convert())


def of_published(
    entries: list[str], images: list[np.ndarray], folder: pathlib.Path, size: tuple[int, int]
) -> list[str]:
    """Writes files from published ones; returns all paths, each published one before its own."""
    paths = []
    for entry in entries:
        name, _, file = entry.partition("=")
        gin.clear_config()
        config.parse([f"models/{name}.gin"], ["NUM_CLASSES = 32", "WEIGHT_DECAY = 0.0"])
        model = config.build("train.model")
        load(model, TFLiteModel.open(file))
        own = [str(folder / f"{name}_{kind}.tflite") for kind in ("plain", "int8", "int8_input")]
        plain(model, images, own[0], size)
        for path, kind in zip(own[1:], tflite.INPUT_TYPES):
            found = tflite.write(
                model,
                images,
                path,
                tflite.TFLiteOptions(size, output="labels", quantize="int8", input_type=kind),
                representative=lambda: images,
            )
            print(f"{path}: {found}")
        paths += [file, *own]
    return paths


def of_random(images: list[np.ndarray], folder: pathlib.Path, size: tuple[int, int]) -> list[str]:
    """Writes the 77.24 configuration's files; returns their paths."""
    # Random weights make logits so close that rounding decides: there is nothing to compare.
    tolerances.LIMITS.update(dict.fromkeys(tolerances.LIMITS, tolerances.Limit(None, 0.0)))
    model = mosaic(19)
    kinds = {"float32": "none", "int8": "int8"}
    paths = {name: str(folder / f"mosaic_{name}.tflite") for name in kinds}
    for name, path in paths.items():
        tflite.write(
            model,
            images[:1],
            path,
            tflite.TFLiteOptions(size, output="labels", quantize=kinds[name]),
            representative=lambda: images,
        )
    return list(paths.values())


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--published", action="append", default=[])
    parser.add_argument("--images", help="Folder of photographs; drawn scenes without.")
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output_dir", required=True)
    values = parser.parse_args()
    folder, size = pathlib.Path(values.output_dir), cli.parse_size(values.size)
    folder.mkdir(parents=True, exist_ok=True)
    if values.images:
        sources = find([values.images])
        images = [fit_image(image, size) for source in sources for _, image in read(source)]
    else:
        images = [drawing.draw_scene(index, *size)[0] for index in range(4)]
    write = of_published if values.published else lambda _, *rest: of_random(*rest)
    paths = write(values.published, images, folder, size)
    shown = [values.images] if values.images else []
    results = benchmark(paths, shown, size, values.threads, values.runs)
    print(report.table(results))
    settings = {"threads": values.threads, "runs": values.runs, "warmup": 5}
    report.save(results, values.output_dir, command(), settings)


if __name__ == "__main__":
    main()
