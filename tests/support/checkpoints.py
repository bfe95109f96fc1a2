"""What checkpoints hold, without any network."""

import tensorflow as tf

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def stored(prefix):
    """Names and values of a checkpoint's variables, by TensorFlow's own list."""
    reader = tf.train.load_checkpoint(prefix)
    names = [name for name, _ in tf.train.list_variables(prefix) if name.endswith(SUFFIX)]
    return {name.removesuffix(SUFFIX): reader.get_tensor(name) for name in names}
