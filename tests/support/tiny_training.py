"""A run of two steps of a network of two convolutions."""

import tf_keras

from mosaic.evaluation.protocols import Evaluation
from mosaic.training.losses import CrossEntropy
from mosaic.training.optimizers import sgd


def tiny(drawn, **settings):
    """What `train` takes, for a network of two convolutions."""
    tf_keras.utils.set_random_seed(0)  # else all of its ReLUs may happen to be 0
    dataset = type(drawn)()
    dataset.crop_size = dataset.image_size
    dataset.train_batches = lambda batch_size, *_: dataset.eval_batches("", batch_size).repeat()
    images = tf_keras.Input([None, None, 3])
    features = tf_keras.layers.Conv2D(4, 3, 8, "same", activation="relu", name="first")(images)
    logits = tf_keras.layers.Conv2D(dataset.num_classes, 3, 2, "same", name="last")(features)
    arguments = {
        "model": tf_keras.Model(images, logits),
        "dataset": dataset,
        "loss": CrossEntropy(),
        "optimizer": sgd(1e-4),
        "steps": 2,
        "batch_size": 5,
        "eval_interval": 2,
        "evaluation": Evaluation(num_pictures=0),
    }
    return {**arguments, **settings}
