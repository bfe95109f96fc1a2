"""Published DeepLab files as networks: the same classes on photographs."""

import gin
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mosaic import config
from mosaic.checkpoints import asked_settings
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.models.resizing import predictions, rule_of
from mosaic.tflite import weights
from mosaic.tflite.model_file import TFLiteModel
from mosaic.training.train_loop import train  # noqa: F401 - which the configurations bind

_OBJECTS = ("bird_segmentation.bmp", "dog_segmentation_256.bmp")


# The user's file has two scales around its first resize, which TensorFlow Lite does not look at.
@pytest.mark.parametrize(
    ("name", "stride", "classes", "size", "limit", "equal"),
    [
        ("deeplabv3_257_mv_gpu", 8, 21, 257, None, 0.999),
        ("deeplabv3_mnv2_dm05_pascal_quant", 16, 21, 513, 3.136, 0.985),
        ("user_deeplab_dm05_513_uint8", 8, 2, 513, 7.314, 0.975),
    ],
)
def test_a_files_classes_are_its_networks(
    shared, record_property, capsys, name, stride, classes, size, limit, equal
):
    """Over twelve photographs; 8-bit files cut image-level features, and say where."""
    file = TFLiteModel.open(shared(f"models/{name}.tflite"))
    bindings = ["DATA_DIR = 'nowhere'", f"deeplab.num_classes = {classes}"]
    config.parse([config.find("deeplabv3_257")], bindings)
    with gin.unlock_config():
        gin.bind_parameter("deeplab.output_stride", stride)
    weights.load(config.build("train.model"), file)
    assert (f"`deeplab.pooling_limit = {limit}`" in capsys.readouterr().err) == (limit is not None)
    asked_settings.take(file)
    assert config.value("deeplab.pooling_limit") == limit
    capsys.readouterr()
    network = config.build("train.model")
    weights.load(network, file)
    assert "pooling_limit" not in capsys.readouterr().err
    predictor = TFLitePredictor(file, "symmetric")
    same = []
    photographs = [shared("data/objects") / photograph for photograph in _OBJECTS]
    for photograph in (*photographs, *sorted(shared("data/photos").iterdir())):
        with Image.open(photograph) as image:
            pixels = np.asarray(image.convert("RGB").resize((size, size), Image.BILINEAR))[None]
        found = predictor.run(pixels)
        found = found.argmax(-1) if found.ndim == 4 else found
        logits = network(tf.constant(pixels, tf.float32), training=False)
        same.append(np.mean(predictions(logits, (size, size), rule_of(network)) == found))
    record_property(f"equal_{name}", float(np.mean(same)))
    assert np.mean(same) >= equal
