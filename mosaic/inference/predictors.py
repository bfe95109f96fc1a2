"""Whatever segments images behind one call: networks, SavedModel folders and TFLite files."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mosaic.inference.tflite_input import TYPES, preparation
from mosaic.models.batch_norm import folded
from mosaic.models.inputs import size_check
from mosaic.models.resizing import half_pixel_centers, predictions, resize_bilinear, size_of
from mosaic.tflite import model_file
from mosaic.utils import archives
from mosaic.utils.errors import UserError
from mosaic.utils.model_format import form_of


class Predictor:
    """Segments batches of images, whatever the form of what does it.

    Args:
      run: from uint8 [batch, height, width, 3] to logits [batch, h, w, classes] or class indices
        [batch, h, w] of any size.
      form: `network`, `saved_model` or `tflite`.
      num_classes: of the logits; None where only class indices come out.
      input_size: (height, width) where it takes no other.
      half_pixel_centers: rule by which its logits are resized.
      traceable: whether `run` consists of TensorFlow's operations.
      check: of (height, width) of images that go in; raises a UserError where `run` cannot take
        them. None where it takes all sizes, or tells by itself.
      normalization: what a file gets its images normalised with, for reports; None where they go
        in as they are.
    """

    def __init__(
        self,
        run: Callable,
        form: str,
        num_classes: int | None,
        input_size: tuple[int, int] | None = None,
        half_pixel_centers: bool = True,
        traceable: bool = True,
        check: Callable[[int, int], None] | None = None,
        normalization: str | None = None,
    ):
        self.run = run
        self.form = form
        self.num_classes = num_classes
        self.input_size = input_size
        # TensorFlow computes batches side by side; a TFLite interpreter takes one at a time.
        self.threads = 2 if traceable else 1
        self.normalization = normalization
        self._half_pixel_centers = half_pixel_centers
        self._check = check
        self._answer = (
            tf.function(self._compute, reduce_retracing=True) if traceable else self._compute
        )

    def __call__(
        self,
        images,
        size: Sequence[int] | None = None,
        input_size: Sequence[int] | None = None,
        labels_first: bool = False,
    ) -> tf.Tensor:
        """Segments a batch.

        Args:
          images: uint8 [batch, height, width, 3].
          size: (height, width) of the answer; the images' own if None.
          input_size: (height, width) that images are resized to first, bilinearly and rounded to
            uint8; their own if None. What takes a single size gets that.
          labels_first: decide at the input's size and resize the decisions by nearest neighbour,
            as what answers with class indices must, instead of resizing the logits.

        Returns:
          Class indices [batch, *size], int32.

        Raises:
          UserError: what goes in is too small.
        """
        images = tf.convert_to_tensor(images)
        # Numbers, not TensorShapes: each of those would be traced anew.
        size = tuple(map(int, size_of(images) if size is None else size))
        input_size = self.input_size or input_size
        self._check_size(input_size or size_of(images))
        return self._answer(images, size, input_size, labels_first)

    def logits(self, images: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
        """Logits [batch, *size, classes], float32, of a batch of the size that goes in.

        Raises:
          UserError: that size is too small.
        """
        self._check_size(size_of(images))
        return resize_bilinear(
            tf.cast(self.run(images), tf.float32), size, self._half_pixel_centers
        )

    def _check_size(self, size) -> None:
        # Inside a graph a network tells by itself, as far as sizes are known there.
        if self._check and tf.executing_eagerly():
            self._check(*map(int, size))

    def _compute(self, images, size, input_size, labels_first: bool):
        if input_size is not None:
            images = fit(images, input_size)
        answer = tf.convert_to_tensor(self.run(images))
        if answer.shape.rank == 4:
            between = size_of(images) if labels_first else size
            answer = predictions(answer, between, self._half_pixel_centers)
        return _nearest(tf.cast(answer, tf.int32), size)


def fit(images: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Resizes uint8 [batch, height, width, 3] bilinearly to (height, width), rounded to uint8."""
    if not tf.is_tensor(size) and tuple(images.shape[1:3]) == tuple(size):
        return images
    resized = tf.image.resize(images, size)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)


def fit_image(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resizes one image, uint8 [height, width, 3], as `fit` does."""
    return fit(tf.constant(image[np.newaxis]), size)[0].numpy()


def _nearest(labels: tf.Tensor, size) -> tf.Tensor:
    if not tf.is_tensor(size) and tuple(labels.shape[1:3]) == tuple(size):
        return labels
    return tf.image.resize(labels[..., tf.newaxis], size, "nearest")[..., 0]


def of_network(model) -> Predictor:
    """Returns a predictor of a network of this project, with the weights that it has now."""
    inference = folded(model)

    @tf.function(reduce_retracing=True)
    def run(images):
        return inference(tf.cast(images, tf.float32), training=False)

    return Predictor(
        run,
        "network",
        model.output_shape[-1],
        half_pixel_centers=half_pixel_centers(model),
        check=size_check(model),
    )


def of_file(path: str, normalization: str | None = None) -> Predictor:
    """Returns a predictor of a SavedModel folder or a TFLite file, as it is.

    Args:
      path: of either.
      normalization: what a TFLite file expects its float input to be normalised with, a key of
        `mosaic.models.inputs.NORMALIZATIONS`, or `none` for pixels in 0..255; needed only where the
        file does not say.

    Raises:
      UserError: it cannot be read, or is no segmentation network.
    """
    if form_of(path) == "tflite":
        return of_tflite(path, normalization)
    if normalization:
        raise UserError(f"--normalization is for TFLite files; {path} is a SavedModel")
    return of_saved_model(path)


def of_saved_model(path: str) -> Predictor:
    """Returns a predictor of a SavedModel, a folder or an archive, by TF Hub's contract or near it.

    The signature is `serving_default`, or the only one; it takes one batch of RGB images in
    0..255, float or uint8, and its output is called `logits` or is the only one.

    Raises:
      UserError: it cannot be loaded, or has no such signature.
    """
    is_archive = archives.is_archive(path)
    try:
        with archives.unpacked(path) if is_archive else contextlib.nullcontext(path) as folder:
            loaded = tf.saved_model.load(archives.saved_model_folder(folder))
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: the SavedModel cannot be loaded ({reason})") from None
    signatures = loaded.signatures
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
    if name is None or (name != "serving_default" and len(signatures) > 1):
        raise UserError(f"{path}: the SavedModel has no signature serving_default")
    serve = signatures[name]
    inputs = serve.structured_input_signature[1]
    outputs = serve.structured_outputs
    key = "logits" if "logits" in outputs else next(iter(outputs))
    if len(inputs) != 1 or (key != "logits" and len(outputs) > 1):
        raise UserError(
            f"{path}: {name} takes {', '.join(inputs)} and gives {', '.join(outputs)}, not one "
            "batch of images and one answer"
        )
    (argument, spec), answer = next(iter(inputs.items())), outputs[key]
    _check_input(path, spec.shape.as_list(), spec.dtype in (tf.float32, tf.uint8))
    one_by_one = spec.shape[0] == 1

    def run(images):
        images = tf.cast(images, spec.dtype)
        if not one_by_one:
            return serve(**{argument: images})[key]
        return tf.map_fn(
            lambda image: serve(**{argument: image[tf.newaxis]})[key][0],
            images,
            fn_output_signature=tf.TensorSpec(answer.shape[1:], answer.dtype),
        )

    def labels(images):
        return tf.squeeze(run(images), -1)

    is_labels = answer.dtype.is_integer and answer.shape.rank == 4 and answer.shape[-1] == 1
    answers = labels if is_labels else run
    # The loaded object must live as long as its functions do.
    answers.loaded = loaded
    classes = None if is_labels else _classes(answer.shape)
    return Predictor(answers, "saved_model", classes, _fixed(spec.shape[1:3]))


def _check_input(path: str, shape: list, is_pixels: bool) -> None:
    if not (is_pixels and len(shape) == 4 and shape[3] == 3 and shape[0] in (None, -1, 1)):
        raise UserError(f"{path}: its input of {shape} is not RGB images [batch, height, width, 3]")


def _classes(shape) -> int | None:
    return shape[-1] if len(shape) == 4 else None


def _fixed(size) -> tuple[int, int] | None:
    height, width = size
    return None if None in (height, width) or -1 in (height, width) else (int(height), int(width))


def of_tflite(path: str, normalization: str | None = None, threads: int | None = None) -> Predictor:
    """Returns a predictor of a TFLite file of any input type and size, logits or labels out.

    Args:
      path: of the file. Quantized inputs take the image's bytes; those of int8, shifted by 128.
      normalization: as for `of_file`.
      threads: of the interpreter; all cores if None.

    Raises:
      UserError: it cannot be read, is no segmentation network, or is a float file that leaves
        normalisation to its caller and `normalization` is not given.
    """
    from ai_edge_litert.interpreter import Interpreter

    if not pathlib.Path(path).is_file():
        raise UserError(f"{path}: no such file")
    try:
        interpreter = Interpreter(model_path=path, num_threads=threads or os.cpu_count())
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: the TFLite file cannot be run ({reason})") from None
    sources, targets = interpreter.get_input_details(), interpreter.get_output_details()
    if len(sources) != 1 or len(targets) != 1:
        raise UserError(f"{path}: {len(sources)} inputs and {len(targets)} outputs instead of one")
    (source,), (target,) = sources, targets
    shape = list(source["shape_signature"])
    _check_input(path, shape, source["dtype"] in TYPES)
    prepare, normalization = preparation(
        path, source["dtype"], source["quantization"], normalization
    )
    scale, zero = target["quantization"]
    is_logits = _classes(target["shape"]) is not None and target["shape"][-1] > 1
    size = _fixed(shape[1:3])

    def feed(image: np.ndarray) -> None:
        shape = (1, *image.shape)
        if size is None and tuple(interpreter.get_input_details()[0]["shape"]) != shape:
            interpreter.resize_tensor_input(source["index"], shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], prepare(image[np.newaxis]))

    def run(images) -> np.ndarray:
        answers = []
        for image in np.asarray(images):
            feed(image)
            interpreter.invoke()
            answers.append(interpreter.get_tensor(target["index"])[0])
        answer = np.stack(answers)
        if not is_logits:
            return answer.reshape(answer.shape[:3])
        return (answer.astype(np.float32) - zero) * scale if scale else answer

    # Apart, for measuring: the image as the input takes it, giving it, and computing.
    run.prepare, run.feed, run.invoke = prepare, feed, interpreter.invoke
    classes = int(target["shape"][-1]) if is_logits else None
    answered = _fixed(target["shape"][1:3])
    # An answer of the input's size is resized as images are, a smaller one as the network resizes.
    rule = size == answered or not is_logits or model_file.half_pixel_centers(path)
    return Predictor(
        run, "tflite", classes, size, rule, traceable=False, normalization=normalization
    )
