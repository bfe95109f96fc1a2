"""Trains a tiny network in a process of its own, with one replica or several, and keeps numbers.

    python replica_run.py FOLDER DEVICES...
    python replica_run.py FOLDER [--dies_at=STEP]

The first trains once for each list of devices, such as CPU:0,CPU:1, of which only one may have
several; the second as one of TF_CONFIG's workers, all in the same folder. Kept are, as NAME.npz and
first_NAME.npz, the losses, the weights and statistics after ten steps, and the confusion matrix
before the first; and as side_by_side.npz that of devices which score without training.
"""

import os
import pathlib
import signal
import sys

import numpy as np
import tensorflow as tf
import tf_keras
from absl import logging

from data.pipeline import Augment, Shard, eval_batches, train_batches
from mosaic.distribution import workers
from mosaic.distribution.cluster import of_tf_config
from mosaic.distribution.runtime import runtime
from mosaic.evaluation import loop
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference import predictors
from mosaic.models.inputs import image_input
from mosaic.models.layers import Norm, conv_bn, depthwise_bn
from mosaic.models.variables import variable_name
from mosaic.training.losses import CrossEntropy
from mosaic.training.task import SegmentationTask
from mosaic.training.trainer import BestCheckpoint, Saving, StopOnSignal, Trainer, quiet_controller
from mosaic.training.worker_folder import check_same_step, own_folder
from mosaic.utils.errors import RunError, UserError
from networks import randomize

STEPS, CLASSES, IMAGES = 10, 3, 7


class Blocks:
    """Seven images of blocks of noise, whose label is a threshold of their brightness."""

    name, class_names = "blocks", ("dark", "grey", "bright")
    num_classes, ignore_label, image_size, crop_size = CLASSES, 255, (24, 32), (16, 24)
    splits = ("train", "val")

    def __init__(self):
        blocks = np.random.default_rng(1).integers(0, 256, (IMAGES, 6, 8, 3))
        self.images = np.kron(blocks, np.ones((1, 4, 4, 1))).astype(np.uint8)
        self.labels = (self.images.mean(-1) // 86).astype(np.uint8)
        self.labels[:, :3] = 255
        self.augment = Augment(self.crop_size, brightness=0.2)

    def num_images(self, split):
        return IMAGES

    def load(self, index):
        return tf.gather(self.images, index), tf.gather(self.labels, index)

    def train_batches(self, batch_size, seed, start_step=0, context=None):
        args = (self.load, IMAGES, self.augment, 255, batch_size, seed, start_step)
        return train_batches(*args, Shard.of(context))

    def eval_batches(self, split, batch_size=1, context=None):
        return eval_batches(self.load, IMAGES, 1, 255, Shard.of(context))


def network():
    norm = Norm(momentum=0.9)
    images, x = image_input("imagenet")
    x = conv_bn(norm, "stem", 8, 3, 2)(x)
    x = depthwise_bn(norm, "depthwise", 3)(x)
    logits = tf_keras.layers.Conv2D(CLASSES, 1, name="logits")(x)
    model = tf_keras.Model(images, logits, name="tiny")
    randomize(model.variables)
    return model


class Dying:
    """Train action that ends the chief as `kill -9` does."""

    def __init__(self, trainer, step):
        self.trainer, self.step = trainer, step

    def __call__(self, output):
        if workers.is_chief() and int(self.trainer.global_step.numpy()) == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def train(folder, result, dies_at=None):
    evaluation = Evaluation(batch_size=1)
    loss = CrossEntropy(normalization="image")
    task = SegmentationTask(network(), Blocks(), loss, 4, 5, evaluation)
    with StopOnSignal() as stop:
        optimizer = tf_keras.optimizers.legacy.SGD(0.05, 0.9)
        trainer = Trainer(task, optimizer, BestCheckpoint(f"{folder}/best_ckpt"), stop)
        controller = quiet_controller(trainer, folder, 1, Saving(5, 2))
        start = int(trainer.global_step.numpy())
        check_same_step(start)
        if not start:
            controller.evaluate()
            matrix = task.confusion.result().numpy()
            np.savez(result.with_name(f"first_{result.name}"), matrix=matrix)
            controller.save_checkpoint()
        losses = []
        actions = [lambda output: losses.append(float(output["training_loss"]))]
        controller.train_actions += (*actions, Dying(trainer, dies_at))
        trainer.start_at(start)
        controller.train(STEPS, checkpoint_at_completion=True)
    values = {variable_name(v): v.numpy() for v in task.model.variables}
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    np.savez(result, replicas=replicas, start=start, losses=losses, **values)


def score(result, devices):
    """Keeps the confusion matrix of all devices side by side, and where it was computed."""
    used, segments = set(), []

    def on(device):
        with tf.device(device):
            predictor = predictors.of_network(network())

        def segment(images, labels):
            predicted = predictor(images)
            used.add(predicted.device[-5:])
            return predicted

        return segment

    segments = [(device, on(device)) for device in devices]
    seen = loop.ConfusionMatrix(CLASSES)
    loop.run(loop.side_by_side(segments, 2), Blocks(), "val", [seen], threads=4)
    np.savez(result, matrix=seen.matrix, used=sorted(used))


def main(folder, *arguments):
    folder = pathlib.Path(folder)
    if cluster := of_tf_config():
        dies_at = int(arguments[0].rpartition("=")[2]) if arguments else None
        with (
            runtime(wait_for_workers=60.0).scope(),
            workers.ending_together(),
            own_folder(str(folder / "run")) as own,
        ):
            train(own, folder / f"worker{cluster.index}.npz", dies_at)
        return
    for devices in arguments:
        with runtime(devices=devices.split(",")).scope():
            own = folder / devices.replace(":", "")
            train(str(own), own.with_suffix(".npz"))
    if devices != "CPU:0":
        score(folder / "side_by_side.npz", devices.split(","))


if __name__ == "__main__":
    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")
    try:
        main(*sys.argv[1:])
    except (UserError, RunError) as error:
        print(f"{error}", file=sys.stderr)
        sys.exit(error.exit_code)
