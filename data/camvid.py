"""CamVid, 11 classes, in the layout of the SegNet tutorial."""

from __future__ import annotations

import gin

from data.dataset import Dataset
from data.folders import folders
from data.pipeline import Augment
from data.ranges import PATH


@gin.configurable(module="datasets")
def camvid(data_dir: PATH = gin.REQUIRED, augment: Augment | None = None) -> Dataset:
    """CamVid with 11 classes: `folders` with its label map (labels 0 to 10, void 11)."""
    return folders(data_dir, "camvid", augment, "camvid")
