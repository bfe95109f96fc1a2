"""MediaPipe's masks of exported files beside those of predict.py: the share of equal pixels.

    python benchmarks/mediapipe_masks.py --images=PHOTOS FILE.tflite [...]

It runs where MediaPipe is installed, which this project does not need: `make mediapipe` makes an
environment for it. Predictions of a file are in the folder FILE.tflite.predictions, as predict.py
wrote them. Exit code 1: a file has less than `--least` equal pixels.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from PIL import Image


def masks(path: str, images: list[pathlib.Path]):
    """Yields the category mask of each image, uint8 [height, width]."""
    options = vision.ImageSegmenterOptions(
        BaseOptions(model_asset_path=path), output_category_mask=True, output_confidence_masks=False
    )
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        for image in images:
            found = segmenter.segment(mediapipe.Image.create_from_file(str(image)))
            yield np.squeeze(found.category_mask.numpy_view())


def main() -> int:
    """Compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--least", type=float, default=0.99)
    parser.add_argument("files", nargs="+", metavar="FILE.tflite")
    arguments = parser.parse_args()
    images = sorted(p for p in arguments.images.iterdir() if p.suffix in (".jpg", ".png"))
    low = False
    for path in arguments.files:
        same = []
        for image, mask in zip(images, masks(path, images)):
            with Image.open(
                pathlib.Path(f"{path}.predictions") / "labels" / f"{image.stem}.png"
            ) as labels:
                same.append(float(np.mean(mask == np.asarray(labels))))
        print(
            f"{pathlib.Path(path).name}: {100 * np.mean(same):.2f} % equal pixels on {len(same)} "
            f"images, at least {100 * min(same):.2f} %"
        )
        low |= np.mean(same) < arguments.least
    return int(low)


if __name__ == "__main__":
    sys.exit(main())
