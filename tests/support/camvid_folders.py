"""Folders in CamVid's layout, made on the spot."""

import cv2
import numpy as np

from data.camvid import camvid
from data.pipeline import Augment

HEIGHT, WIDTH = 32, 48
IGNORE = 255


def write_split(root, split, count=3, size=(HEIGHT, WIDTH)):
    """Writes images of noise and labels 0 to 11, and returns them by name."""
    rng = np.random.default_rng([len(split), count, *size])
    pairs = {}
    for folder in (split, f"{split}annot"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        name = f"{split}_{index:03}"
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        label = rng.integers(0, 12, size, np.uint8)
        cv2.imwrite(str(root / split / f"{name}.png"), image[..., ::-1])
        cv2.imwrite(str(root / f"{split}annot" / f"{name}.png"), label)
        pairs[name] = image, label
    return pairs


def load(root):
    augment = Augment(crop_size=(HEIGHT, WIDTH), scale=(1.0, 1.0), flip=False)
    return camvid(str(root), augment=augment)


def examples(dataset, split):
    """All images and labels of a split by name."""
    count = dataset.num_images(split)
    return {dataset.image_id(split, i): dataset.example(split, i) for i in range(count)}


def indices(label):
    """Class indices of labels in a file: 11 is void."""
    return np.where(label == 11, IGNORE, label)


def write_file(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def write_uneven(root):
    """Writes three training images, one of another size, and one for validation; returns `root`."""
    sizes = {"train": [(40, 60), (40, 60), (20, 30)], "val": [(40, 60)]}
    for split, all_sizes in sizes.items():
        for index, size in enumerate(all_sizes):
            label = np.zeros(size, np.uint8)
            label[: size[0] // 4] = 3
            label[-1] = 11
            write_file(root / split / f"{index}.png", np.full((*size, 3), 100, np.uint8))
            write_file(root / f"{split}annot" / f"{index}.png", label)
    return root
