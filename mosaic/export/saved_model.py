"""SavedModels with the TF Hub module's contract, checked before they get their name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.export import tolerances
from mosaic.export.parity import Agreement, EvaluationSplit, check
from mosaic.export.serving_module import Serving
from mosaic.inference.file_predictors import SavedModelPredictor
from mosaic.utils import class_names
from mosaic.utils.atomic_io import replacing, write_text
from mosaic.utils.run_layout import RECORD
from mosaic.utils.segmentation_dataset import SegmentationDataset


def write(
    model: tf_keras.Model,
    images: Sequence[np.ndarray],
    path: str,
    dataset: SegmentationDataset | None = None,
    split: EvaluationSplit | None = None,
    record: str | None = None,
) -> Agreement:
    """Writes a SavedModel, checks it on images, and only then gives it its name.

    `serving_default` takes float32; `serving_uint8`, the same in uint8, moves a quarter of the
    bytes; `serving_image_bytes` takes JPEG and PNG files; calling the loaded object takes images
    of either type.

    Args:
      model: network to export.
      images: uint8 [height, width, 3] each, to check it on.
      path: path of the folder.
      dataset: data set whose class names and colours are written into assets.extra/classes.json.
      split: evaluation split to score it and the network on; None to score neither.
      record: text of the record of its run (`mosaic.checkpoints.run_record`), written beside it;
        None for none.

    Raises:
      RunError: it differs from the network by more than its limit; nothing is left under `path`.
    """
    module = Serving(model)
    with replacing(path) as aside:
        tf.saved_model.save(module, str(aside), signatures=module.signatures())
        if dataset is not None:
            class_names.save(str(aside / "assets.extra"), dataset)
        if record:
            write_text(aside / "assets.extra" / RECORD, record)
        export = SavedModelPredictor(str(aside))
        return check(model, export, images, tolerances.of_model(model, "none"), path, split)
