"""The TFDS builder of the drawn street scenes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, ClassVar

import gin
import tensorflow_datasets as tfds

from data.counts import Counts
from data.dataset import Dataset
from data.errors import DataError
from data.label_map import LabelMap
from data.pipeline import Augment
from data.ranges import PATH, SCENE_COUNT, SCENE_SEED, SCENE_SIZE
from data.records import Info, png_features, prepare, records_dir
from data.street_scenes.drawing import draw_scene

# Validation scenes are drawn from seeds far away from those of training.
_SPLIT_SEEDS = {"train": 0, "val": 1_000_000_000}


@dataclasses.dataclass
class StreetScenesConfig(tfds.core.BuilderConfig):
    """Size, number and seed of the scenes.

    Attributes:
      size: (height, width) in pixels.
      counts: number of scenes by split.
      seed: seed of the scenes; scenes of different seeds have nothing in common.
    """

    size: tuple[int, int] = (128, 256)
    counts: tuple[tuple[str, int], ...] = ()
    seed: int = 0


class StreetScenes(tfds.core.GeneratorBasedBuilder):
    """Draws scenes and their labels (train ids, 255 ignored) into TFDS records.

    What is counted on the way (`data.counts.Counts`) is kept in the records' metadata, by split.
    """

    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS: ClassVar[list] = []

    def _info(self) -> tfds.core.DatasetInfo:
        return Info(
            builder=self,
            description="Procedurally drawn street scenes with Cityscapes' 19 classes.",
            features=png_features(self.builder_config.size),
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        self.info.metadata["root"] = "street_scenes"
        self.info.metadata["counts"] = {}
        return {s: self._generate_examples(s, n) for s, n in self.builder_config.counts}

    def _generate_examples(self, split: str, count: int):
        config = self.builder_config
        first = _SPLIT_SEEDS[split] + config.seed * 10_000_000
        counts = Counts()
        for index in range(count):
            image, label = draw_scene(first + index, *config.size)
            name = f"{split}_{index:05}"
            counts.add(name, label, True)
            counts.fold(name, image.tobytes(), label)
            yield index, {"image": image, "label": label[..., None], "id": name}
        self.info.metadata["counts"][split] = counts.to_json()


@gin.configurable(module="datasets")
def street_scenes(
    size: Annotated[Sequence[int], SCENE_SIZE] = (128, 256),
    num_train: Annotated[int, SCENE_COUNT] = 800,
    num_val: Annotated[int, SCENE_COUNT] = 100,
    seed: Annotated[int, SCENE_SEED] = 0,
    data_dir: PATH | None = None,
    augment: Augment | None = None,
) -> Dataset:
    """Drawn street scenes, which are built in seconds if they are not there yet.

    Args:
      size: (height, width) in pixels, at least 64x64.
      num_train: number of scenes of the training split.
      num_val: number of scenes of the validation split.
      seed: seed of the scenes, 0 to 99.
      data_dir: folder for the records; TFDS's own folder if None.
      augment: augmentation of training examples.

    Raises:
      DataError: the size or the seed is out of range.
    """
    if min(size) < 64:
        raise DataError(f"street_scenes.size {tuple(size)}: scenes begin at 64x64")
    if not 0 <= seed < 100:
        raise DataError(f"street_scenes.seed {seed}: give one from 0 to 99")
    counts = (("train", num_train), ("val", num_val))
    name = f"{size[0]}x{size[1]}_{num_train}_{num_val}_seed{seed}"
    config = StreetScenesConfig(name=name, size=tuple(size), counts=counts, seed=seed)
    builder = prepare(StreetScenes, data_dir or records_dir(), config)
    splits = {split: split for split, _ in counts}
    # The scenes have train ids, not the label ids of Cityscapes' files.
    label_map = LabelMap.named("cityscapes").indexed()
    return Dataset(builder, label_map, splits, augment)
