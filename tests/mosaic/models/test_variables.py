"""The names of variables, under which checkpoints and files know them."""

import tensorflow as tf
import tf_keras

from mosaic.models.variables import variable_name


def test_the_name_has_no_output_index():
    assert variable_name(tf.Variable(1.0, name="logits/kernel")) == "logits/kernel"


def test_the_layer_is_part_of_the_name():
    images = tf_keras.Input([None, None, 3])
    model = tf_keras.Model(images, tf_keras.layers.Conv2D(2, 1, name="logits")(images))
    assert [variable_name(v) for v in model.variables] == ["logits/kernel", "logits/bias"]
