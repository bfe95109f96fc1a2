"""Exported files as predictors: SavedModels and TFLite files, run without changes."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import tensorflow as tf

from mosaic.inference import saved_model_check
from mosaic.inference.interpreters import TFLiteInterpreter
from mosaic.inference.output_form import form
from mosaic.inference.predictors import Predictor
from mosaic.inference.tflite_input import TYPES, preparation
from mosaic.models.inputs import NORMALIZATIONS
from mosaic.models.resizing import HALF_PIXEL
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils import archives
from mosaic.utils.errors import REFUSED, UserError


def of_file(
    model: str | TFLiteModel, normalization: str | None = None, allow_code: bool = False
) -> Predictor:
    """Returns a predictor that runs a SavedModel or a TFLite file without changes.

    Args:
      model: path of a SavedModel's folder or archive, or an opened TFLite file.
      normalization: normalisation that a file expects of its float input: a key of
        `mosaic.models.inputs.NORMALIZATIONS`, or `none` for pixels in 0..255; needed only for a
        TFLite file that does not say. A SavedModel gets pixels in 0..255 without it.
      allow_code: whether a SavedModel may use files and run code, see `SavedModelPredictor`.

    Raises:
      UserError: it cannot be read, or is not a segmentation network.
    """
    if isinstance(model, TFLiteModel):
        return TFLitePredictor(model, normalization)
    return SavedModelPredictor(model, allow_code, normalization)


# Types of a SavedModel's input that hold an image's bytes exactly.
_TAKEN = (tf.float32, tf.uint8, tf.float16, tf.float64, tf.int32, tf.int64)


class SavedModelPredictor(Predictor):
    """A SavedModel, a folder or an archive, by TF Hub's contract or similar.

    The signature is `serving_default`, or the only one; it takes one batch of RGB images in
    0..255, float or uint8, and its output is called `logits` or is the only one. Channels may come
    first; for the forms of the output see `mosaic.inference.output_form`.

    Args:
      path: path of the folder or archive.
      allow_code: whether its graph may use files and connections and call Python.
      normalization: normalisation of the images, as for `of_file`.

    Raises:
      UserError: it cannot be loaded, or has no such signature, or its graph does more than compute
        and `allow_code` is not set; or it takes bytes, which are not normalised.
    """

    def __init__(self, path: str, allow_code: bool = False, normalization: str | None = None):
        # The loaded object must live as long as its functions do.
        self._loaded = _load(path, allow_code)
        self._path = path
        name, self._serve = _signature(path, self._loaded)
        inputs = self._serve.structured_input_signature[1]
        outputs = self._serve.structured_outputs
        self._output = "logits" if "logits" in outputs else next(iter(outputs))
        if len(inputs) != 1 or (self._output != "logits" and len(outputs) > 1):
            raise UserError(
                f"{path}: {name} takes {', '.join(inputs)} and gives {', '.join(outputs)}, not one "
                "batch of images and one answer; of several, one called logits is taken"
            )
        ((self._input, self._spec),) = inputs.items()
        prediction = outputs[self._output]
        normalization = None if normalization == "none" else normalization
        if normalization and self._spec.dtype.is_integer:
            raise UserError(f"{path}: it takes the image's bytes; leave out --normalization")
        self._scale = NORMALIZATIONS[normalization] if normalization else None
        shape = self._spec.shape.as_list()
        self._channels_first, shape = _channels_last(shape)
        _check_input(path, shape, self._spec.dtype.name, self._spec.dtype in _TAKEN)
        if prediction.shape.rank is None:
            raise UserError(f"{path}: its output has no known rank; it is not a segmentation")
        self._answer_spec = tf.TensorSpec(prediction.shape[1:], prediction.dtype)
        found, size = (
            [-1 if side is None else side for side in prediction.shape],
            _fixed(shape[1:3]),
        )
        self._form = form(path, found, size, (0.0, 0))
        # Others are read one image after the other, outside of TensorFlow's graphs.
        is_usual = self._form.is_usual(prediction.dtype.is_integer)
        super().__init__(
            self._segment if is_usual else self._segment_each,
            "saved_model",
            self._form.num_classes,
            size,
            traceable=is_usual,
            normalization=normalization,
        )

    def _segment(self, images):
        prediction = self._without_nan(self.compute(images))
        is_labels = self._form.num_classes is None and prediction.shape.rank == 4
        return tf.squeeze(prediction, -1) if is_labels else prediction

    def _without_nan(self, prediction: tf.Tensor) -> tf.Tensor:
        """A prediction; a UserError, which a graph raises when it runs, where some of it is NaN."""
        if not prediction.dtype.is_floating:
            return prediction
        is_sound = tf.logical_not(tf.reduce_any(tf.math.is_nan(prediction)))
        told = f"{self._path}: its output holds NaN"
        if tf.executing_eagerly():
            if not is_sound:
                raise UserError(told)
            return prediction
        with tf.control_dependencies([tf.debugging.Assert(is_sound, [REFUSED + told])]):
            return tf.identity(prediction)

    def _segment_each(self, images) -> np.ndarray:
        images = tf.convert_to_tensor(images)
        size = tuple(images.shape[1:3])
        answers = (self.compute(images[at : at + 1]) for at in range(images.shape[0]))
        return np.stack([self._form.read(answer.numpy(), size) for answer in answers])

    def compute(self, images) -> tf.Tensor:
        """Returns the output for images [batch, height, width, 3], uint8 or float32 in 0..255."""
        if self._scale:
            mean, std = self._scale
            images = (tf.cast(images, tf.float32) - mean) / std  # float16 would round twice
        images = tf.cast(images, self._spec.dtype)
        if self._channels_first:
            images = tf.transpose(images, [0, 3, 1, 2])
        if self._spec.shape[0] != 1 or images.shape[0] == 1:
            return self._serve(**{self._input: images})[self._output]
        return tf.map_fn(
            lambda image: self._serve(**{self._input: image[tf.newaxis]})[self._output][0],
            images,
            fn_output_signature=self._answer_spec,
        )


class TFLitePredictor(Predictor):
    """A TFLite file of any input type and size, logits or labels out.

    Images go in as [1, height, width, 3] or [1, 3, height, width]; for the forms of what comes out
    see `mosaic.inference.output_form`. uint8 inputs take the image's bytes, int8 inputs the bytes
    less 128. The three steps for one image are separate, for measuring: `prepare`, `feed` and
    `invoke`.

    Args:
      file: TFLite file, opened.
      normalization: normalisation of the input, as for `of_file`.
      threads: number of the interpreter's threads; all cores if None.

    Attributes:
      file: TFLite file, opened.
      has_delegate: whether XNNPACK runs what it can of the file, see `TFLiteInterpreter`.

    Raises:
      UserError: it cannot be run; or it is not a segmentation network; or it is a float file that
        leaves normalisation to its caller and `normalization` is not given.
    """

    def __init__(
        self, file: TFLiteModel, normalization: str | None = None, threads: int | None = None
    ):
        self.file = file
        self._interpreter = TFLiteInterpreter(file.path, threads or os.cpu_count())
        self.has_delegate = self._interpreter.has_delegate
        sources, targets = self._interpreter.inputs, self._interpreter.outputs
        if len(sources) != 1 or len(targets) != 1:
            raise UserError(
                f"{file}: it takes {_listed(sources)} and gives {_listed(targets)}; convert it "
                "with one batch of images as its input, and the logits or the labels alone"
            )
        (source,), (target,) = sources, targets
        shape, dtype = list(map(int, source["shape_signature"])), source["dtype"]
        self._channels_first, shape = _channels_last(shape)
        _check_input(file.path, shape, np.dtype(dtype).name, dtype in TYPES)
        self.prepare, normalization = preparation(
            file, dtype, source["quantization"], normalization
        )
        size = _fixed(shape[1:3])
        # The interpreter gives 1 for what is not fixed.
        found = target["shape"] if size else target["shape_signature"]
        self._output = form(file.path, found, size, target["quantization"])
        # A prediction of the input's size is resized as images are, a smaller one by the network's
        # rule.
        like_images = self._output.num_classes is None or self._output.is_of_size(found, size)
        super().__init__(
            self._segment,
            "tflite",
            self._output.num_classes,
            size,
            HALF_PIXEL if like_images else file.resize_rule,
            traceable=False,
            normalization=normalization,
            precision=file.precision,
        )

    def feed(self, image: np.ndarray) -> None:
        """Gives the interpreter an image, uint8 [height, width, 3]."""
        self._interpreter.feed(self.values(image))

    def values(self, image: np.ndarray) -> np.ndarray:
        """What the file's input takes for an image, uint8 [height, width, 3]."""
        values = self.prepare(image[np.newaxis])
        return np.ascontiguousarray(np.moveaxis(values, -1, 1)) if self._channels_first else values

    def invoke(self) -> None:
        """Computes the prediction for the image that was fed."""
        self._interpreter.invoke()

    def _segment(self, images) -> np.ndarray:
        predicted = []
        for image in np.asarray(images):
            self.feed(image)
            self.invoke()
            predicted.append(self._output.read(self._interpreter.output(), image.shape[:2]))
        self.has_delegate = self._interpreter.has_delegate
        return np.stack(predicted)


def _load(path: str, allow_code: bool):
    """Loads a SavedModel from a folder or an archive, once it is known what it does."""
    is_archive = archives.is_archive(path)
    try:
        with archives.unpacked(path) if is_archive else contextlib.nullcontext(path) as folder:
            folder = archives.saved_model_folder(folder, path)
            if not allow_code:
                saved_model_check.check(folder, path)
            return tf.saved_model.load(folder)
    except UserError:
        raise
    except (OSError, ValueError, LookupError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: the SavedModel cannot be loaded ({reason})") from None


def _signature(path: str, loaded) -> tuple[str, tf.types.experimental.ConcreteFunction]:
    """The name and function of `serving_default`, or of the only signature."""
    signatures = loaded.signatures
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
    if name is None or (name != "serving_default" and len(signatures) > 1):
        there = f"{', '.join(signatures)}; export it with one of them" if signatures else "none"
        raise UserError(f"{path}: no signature serving_default in this SavedModel (there: {there})")
    return name, signatures[name]


def _listed(tensors: list[dict]) -> str:
    shapes = (f"{tensor['name']} {tensor['shape_signature'].tolist()}" for tensor in tensors)
    return ", ".join(shapes)


def _check_input(path: str, shape: list, kind: str, is_pixels: bool) -> None:
    """Checks the shape of an input, channels last, and its type, which is called `kind`."""
    if len(shape) != 4 or shape[3] != 3:
        raise UserError(f"{path}: its input of {shape} is not RGB images [batch, height, width, 3]")
    if not is_pixels:
        raise UserError(
            f"{path}: its input of {shape} is of the type {kind}; export it for float32 or uint8"
        )
    if shape[0] not in (None, -1, 1):
        raise UserError(
            f"{path}: its input of {shape} is {shape[0]} images at once; export it for one image, "
            "[1, height, width, 3]"
        )


def _channels_last(shape: list) -> tuple[bool, list]:
    """Whether an input has its channels first, and its shape with the channels last."""
    if len(shape) == 4 and shape[1] == 3 and shape[3] != 3:
        return True, [shape[0], *shape[2:], shape[1]]
    return False, shape


def _fixed(size) -> tuple[int, int] | None:
    height, width = size
    return None if None in (height, width) or -1 in (height, width) else (int(height), int(width))
