"""The segmentation task for the Model Garden's trainer: batches, steps, and evaluation results."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task

from mosaic.checkpoints import loading, origin
from mosaic.evaluation import answer_warnings, metrics
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference.letterbox import boxed
from mosaic.models import feature_rescaling, quantization_aware
from mosaic.models.recompute import Recomputing
from mosaic.models.resizing import predictions, resize_bilinear, rule_of, size_of
from mosaic.models.variables import Variables
from mosaic.training import losses
from mosaic.training.loss_by_image import by_image
from mosaic.training.precision import LossScaleOptimizer
from mosaic.utils.errors import UserError
from mosaic.utils.segmentation_dataset import SegmentationDataset

# Number of images to measure batch norm's statistics of a TFLite file's network on.
_STATISTICS_IMAGES = 40


@dataclasses.dataclass(frozen=True)
class InitialWeights:
    """Initial weights of a run.

    Attributes:
      checkpoint: path of a checkpoint or a TFLite file; None to start from scratch.
      prefixes: beginnings of the names of the variables that are loaded.
      rescale_features_above: root mean square of features above which they are scaled to 1
        (`mosaic.models.feature_rescaling`), where only a part of the checkpoint is loaded; None to
        scale none.
    """

    checkpoint: str | None = None
    prefixes: tuple[str, ...] = ("",)
    rescale_features_above: float | None = None


class SegmentationTask(base_task.Task):
    """Trains one network on one data set.

    Args:
      model: network from images [batch, height, width, 3] in 0..255 to logits at any stride.
      dataset: data set to train and evaluate on.
      loss: loss of (labels, logits); see `mosaic.training.losses.settle`.
      batch_size: number of examples in a step, over all replicas.
      seed: seed of the order and the augmentation of the training data.
      evaluation: settings of the periodic evaluation; the split `val`, image by image, if None.
      initial: initial weights; None to start from scratch.
      recompute: whether training steps compute a part of the network twice, which takes less memory
        and more time (`mosaic.models.recompute`).
      compiles: whether XLA compiles the computation of losses and gradients.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        dataset: SegmentationDataset,
        loss: losses.Loss,
        batch_size: int,
        seed: int,
        evaluation: Evaluation | None = None,
        initial: InitialWeights | None = None,
        recompute: bool = False,
        compiles: bool = False,
    ):
        super().__init__(params=None)
        losses.settle(loss, dataset)
        self.model = model
        self.dataset = dataset
        self.segmentation_loss = loss
        self.batch_size = batch_size
        self.seed = seed
        self.evaluation = evaluation or Evaluation(batch_size=1)
        self.initial = initial or InitialWeights()
        # What a new run started from, for its record; None from scratch.
        self.start: dict | None = None
        self.recompute = recompute
        self.compiles = compiles
        self._network = Recomputing(model, *dataset.crop_size) if recompute else None
        self.confusion = metrics.ConfusionMatrix(dataset.num_classes, dataset.ignore_label)

    def build_model(self) -> tf_keras.Model:
        return self.model

    def initialize(self, model: tf_keras.Model) -> None:
        """Loads the initial checkpoint, if there is one; only called if no run is resumed."""
        if not self.initial.checkpoint:
            return
        network = quantization_aware.float_network(model)
        if network is not model and loading.brings_ranges(self.initial.checkpoint, network):
            self._keep_start(loading.load(model, self.initial.checkpoint), ("",))
            return
        prefixes = self.initial.prefixes
        found, left_out = loading.start_from(
            network, self.initial.checkpoint, prefixes, self._some_images()
        )
        self._keep_start(found, prefixes)
        if self.initial.rescale_features_above is not None:
            scaled = feature_rescaling.rescale_features(
                network,
                lambda name: name.startswith(prefixes) and name not in left_out,
                self._some_images(),
                self.initial.rescale_features_above,
            )
            for name, root in scaled.items():
                print(
                    f"{name}: what it reads had a root mean square of {root:.1f}, brought to 1",
                    file=sys.stderr,
                )
        if network is not model:
            quantization_aware.start(model, self._some_images())

    def _keep_start(self, found: Variables, prefixes: Sequence[str]) -> None:
        # Past TensorFlow's tracking, whose lists `dataclasses.asdict` cannot copy.
        object.__setattr__(self, "start", origin.start_of(found, prefixes))

    def _some_images(self):
        """Augmented training images, to measure statistics on that a file may lack."""
        batches = self.dataset.train_batches(self.batch_size, self.seed)
        count = -(-_STATISTICS_IMAGES // self.batch_size)
        return (image for images, _ in batches.take(count) for image in images.numpy())

    def build_inputs(self, params, input_context=None):
        """Returns training batches from step `params["start_step"]`, or all evaluation batches."""
        if "start_step" in params:
            return self.dataset.train_batches(
                self.batch_size, self.seed, params["start_step"], input_context
            )
        return self.dataset.eval_batches(
            self.evaluation.split, self.evaluation.batch_size, input_context
        )

    def build_losses(self, labels, model_outputs, aux_losses=None, loss=None) -> tf.Tensor:
        """Cross-entropy plus weight decay, a scalar; `loss` takes the place of the task's."""
        loss = loss or self.segmentation_loss
        # Logits are resized by the network's own rule.
        rule, parts = rule_of(self.model), losses.parts_of(loss)
        if parts is None:
            logits = resize_bilinear(tf.cast(model_outputs, tf.float32), size_of(labels), rule)
            value = loss(labels, logits)
        else:
            value = by_image(parts, labels, model_outputs, rule, self.recompute)
        return value + tf.add_n(aux_losses) if aux_losses else value

    def train_step(self, inputs, model, optimizer, metrics=None) -> dict[str, tf.Tensor]:
        """One training step of one replica on its part of the batch."""
        loss, gradients = self.gradients(*inputs, model, optimizer)
        optimizer.apply_gradients(list(zip(gradients, model.trainable_variables)))
        return {self.loss: loss}

    def gradients(self, images, labels, model, optimizer, loss: losses.Loss | None = None):
        """Computes the loss of one replica, and what it adds to the gradients of all.

        Args:
          images: uint8 [batch, height, width, 3].
          labels: class indices [batch, height, width].
          model: network of the task.
          optimizer: optimizer that the gradients are for.
          loss: loss that takes the place of the task's.

        Returns:
          (loss, gradients), for each of the network's trainable variables.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        has_scale = isinstance(optimizer, LossScaleOptimizer)

        def compute(images, labels):
            with tf.GradientTape() as tape:
                logits = self._network(images) if self._network else model(images, training=True)
                value = self.build_losses(labels, logits, model.losses, loss)
                # The optimizer sums gradients over the replicas.
                scaled = value / replicas
                if has_scale:
                    scaled = optimizer.get_scaled_loss(scaled)
            return value, tape.gradient(scaled, model.trainable_variables)

        if self.compiles:
            compute = tf.function(compute, jit_compile=True)
        value, found = compute(images, labels)
        return value, optimizer.get_unscaled_gradients(found) if has_scale else found

    def validation_step(self, inputs, model, metrics=None) -> dict:
        """Counts one batch of full-size ground truth into the confusion matrix."""
        images, labels = inputs
        self.confusion.update_state(labels, predict(model, images, self.evaluation))
        return {}

    def aggregate_logs(self, state=None, step_outputs=None) -> bool:
        # The Garden's own task resets its metric here, after the first batch was counted, and so
        # loses that batch; `Trainer.eval_begin` resets it earlier.
        return True

    def reduce_aggregated_logs(self, aggregated_logs, global_step=None) -> dict[str, float]:
        """Mean IoU and per-class IoU of the confusion matrix so far."""
        matrix = self.confusion.result().numpy()
        ignored = self.evaluation.ignored_classes(self.dataset.class_names)
        logs = {"mean_iou": metrics.mean_iou(matrix, ignored)}
        if np.isnan(logs["mean_iou"]):
            where = f"{self.dataset.name} {self.evaluation.split}"
            raise UserError(f"{where}: no labelled pixels to score on; set Evaluation.split")
        for name, value in zip(self.dataset.class_names, metrics.iou(matrix, ignored)):
            logs[f"iou/{name}"] = value
        return logs

    def only_answer(self) -> str | None:
        """Which class the last evaluation found predicted everywhere; None where several are."""
        names = self.dataset.class_names
        return answer_warnings.only_answer(self.confusion.result().numpy(), names)


def predict(model: tf_keras.Model, images: tf.Tensor, evaluation: Evaluation) -> tf.Tensor:
    """Returns predicted class indices of a network for images, during training.

    Args:
      model: network to predict with.
      images: uint8 [batch, height, width, 3].
      evaluation: settings, of which `padded_size` and those of the padding count.

    Returns:
      int32 [batch, height, width].
    """
    size, rule = size_of(images), rule_of(model)
    if not evaluation.padded_size:
        return predictions(model(images, training=False), size, rule)
    canvas, _, back = boxed(
        images,
        tuple(evaluation.padded_size),
        evaluation.padding,
        evaluation.enlarged,
        tf.uint8 if evaluation.enlarged else tf.float32,
    )
    logits = resize_bilinear(model(canvas, training=False), back, rule)
    return tf.argmax(logits[:, : size[0], : size[1]], -1, output_type=tf.int32)
