"""Networks for quantization-aware training: how they start, train, are saved and exported."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic.checkpoints import loading
from mosaic.export import tflite
from mosaic.export.serving_module import Serving
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.inference.predictors import fit_image
from mosaic.models import quantization_aware, quantizer_placement
from mosaic.models.inputs import check_size
from mosaic.models.variables import variable_name
from mosaic.tflite import model_file
from mosaic.tflite.model_file import TFLiteModel
from mosaic.training.losses import CrossEntropy
from mosaic.training.task import InitialWeights, SegmentationTask
from mosaic.utils.errors import UserError

SIZE = (64, 128)


@pytest.fixture(scope="module")
def quantized(trained_network, drawn):
    model = quantization_aware.quantize_aware(trained_network)
    quantization_aware.start(model, drawn.images)
    return model


@pytest.fixture(scope="module")
def built(trained_network):
    return quantization_aware.quantize_aware(trained_network)


@pytest.fixture
def unmeasured(built):
    """Without ranges; what a test changes is put back."""
    before = [variable.numpy() for variable in built.variables]
    yield built
    for variable, value in zip(built.variables, before):
        variable.assign(value)


@pytest.fixture(scope="module")
def file(quantized, drawn, tmp_path_factory):
    """An 8-bit file of labels."""
    path = str(tmp_path_factory.mktemp("files") / "labels.tflite")
    tflite.write(
        quantized,
        list(drawn.images),
        path,
        tflite.TFLiteOptions(SIZE, output="labels", quantize="int8"),
    )
    return path


def _copy(network):
    copy = tf_keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def _step(model, optimizer, drawn):
    with tf.GradientTape() as tape:
        loss = CrossEntropy()(drawn.labels, model(tf.constant(drawn.images, tf.float32), True))
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return float(loss)


def test_a_layer_without_8_bit_form():
    images = tf_keras.Input([None, None, 3])
    x = tf_keras.layers.Activation("swish", name="odd")(images)
    with pytest.raises(UserError, match=r"odd \(Activation\) has no 8-bit form"):
        quantization_aware.quantize_aware(tf_keras.Model(images, x))


def test_it_starts_where_the_float_network_is(quantized, trained_network, drawn):
    images = tf.constant(drawn.images, tf.float32)
    expected, found = (m(images, training=False).numpy() for m in (trained_network, quantized))
    assert 0 < np.std(found - expected) < 0.1 * np.std(expected)
    assert np.mean(found.argmax(-1) == expected.argmax(-1)) > 0.97


def test_ranges_cover_what_they_were_measured_on(quantized, trained_network, drawn):
    name = "backbone_01_project_bn"
    inside = tf_keras.Model(trained_network.inputs, trained_network.get_layer(name).output)
    values = inside(tf.constant(drawn.images, tf.float32), training=False).numpy()
    found = {v.name: v.numpy() for v in quantized.variables}
    ends = [found[f"{name}_range/{end}:0"] for end in ("low", "high")]
    np.testing.assert_allclose(ends, [values.min(), values.max()], rtol=1e-3)


def test_training_and_going_on_from_a_checkpoint(trained_network, drawn, tmp_path):
    """Weights and ranges move, the float network does not, and a checkpoint has all of it."""
    network = _copy(trained_network)
    model = quantization_aware.quantize_aware(network, range_decay=0.5)
    quantization_aware.start(model, drawn.images)
    before = {v.name: v.numpy() for v in model.variables}
    optimizer = tf_keras.optimizers.legacy.SGD(0.01, 0.9)
    losses = [_step(model, optimizer, drawn)]
    path = tf.train.Checkpoint(model=model, optimizer=optimizer).save(str(tmp_path / "ckpt"))
    losses.append(_step(model, optimizer, drawn))
    assert losses[1] < losses[0]
    same = {v.name for v in model.variables if np.array_equal(v.numpy(), before[v.name])}
    # The lower end of what is never below 0, and the wrappers' own counters.
    assert all(name.endswith(("/low:0", "optimizer_step:0")) for name in same)
    assert "backbone_01_project_bn_range/low:0" not in same
    assert all(map(np.array_equal, network.get_weights(), trained_network.get_weights()))

    again = quantization_aware.quantize_aware(_copy(trained_network), range_decay=0.5)
    optimizer = tf_keras.optimizers.legacy.SGD(0.01, 0.9)
    tf.train.Checkpoint(model=again, optimizer=optimizer).restore(path).expect_partial()
    _step(again, optimizer, drawn)
    for expected, found in zip(model.variables, again.variables):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=found.name)


def test_without_a_checkpoint_the_first_batch_sets_the_ranges(unmeasured, drawn):
    unmeasured(tf.constant(drawn.images, tf.float32), training=True)
    values = {v.name: v.numpy() for v in unmeasured.variables}
    found = {name: v for name, v in values.items() if quantizer_placement.is_variable(name[:-2])}
    assert all(value > 0 for name, value in found.items() if name.endswith("high:0"))


def test_a_file_holds_integers_alone(file):
    model = TFLiteModel.open(file)
    kinds = [kind for kind, _ in model.operators]
    assert kinds[:2] == ["QUANTIZE", "SUB"]
    assert kinds[-1] == "ARG_MAX"
    assert not {"QUANTIZE", "DEQUANTIZE", "MUL", "SUB", "AVERAGE_POOL_2D"} & set(kinds[2:])
    from ai_edge_litert import schema_py_generated as schema

    types = model_file.names(schema.TensorType)
    found = {types[tensor.type] for tensor in model.graph.tensors}
    assert found <= {"UINT8", "INT8", "INT32"}


def test_a_file_has_scales_by_channel_and_steps_of_the_image(file):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file)
    source = interpreter.get_input_details()[0]
    assert source["dtype"] == np.uint8
    assert source["quantization"] == (1.0, 0)
    model = TFLiteModel.open(file)
    tensors = model.graph.tensors
    for kind, operator in model.operators:
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            kernel = tensors[operator.inputs[1]]
            channels = kernel.shape[0 if kind == "CONV_2D" else 3]
            # Averaging kernels have one value.
            assert len(kernel.quantization.scale) in (channels, 1)


def test_a_file_answers_as_its_network(file, quantized, drawn):
    images = np.stack([fit_image(image, SIZE) for image in drawn.images])
    labels = TFLitePredictor(TFLiteModel.open(file)).run(images)
    expected = Serving(quantized)(tf.constant(images))["logits"].numpy().argmax(-1)
    assert len(np.unique(labels)) > 1
    assert np.mean(labels == expected) > 0.95


def test_what_was_never_measured_is_not_exported(unmeasured, drawn, tmp_path):
    with pytest.raises(UserError, match="ranges have no values yet"):
        tflite.write(
            unmeasured,
            [drawn.images[0]],
            str(tmp_path / "x"),
            tflite.TFLiteOptions(SIZE, output="labels", quantize="int8"),
        )


def test_images_that_are_too_small(built):
    check_size(built, 49, 49)
    with pytest.raises(UserError, match="images of 48x96 are too small: a feature map of 3x6"):
        check_size(built, 48, 96)


def test_other_number_formats_are_refused(quantized, drawn, tmp_path):
    with pytest.raises(UserError, match="use int8"):
        tflite.write(quantized, [drawn.images[0]], str(tmp_path / "x"), tflite.TFLiteOptions(SIZE))


def test_training_starts_from_a_float_checkpoint(
    unmeasured, quantized, trained_network, drawn, tmp_path
):
    dataset = type(drawn)()
    dataset.train_batches = lambda batch_size, seed: dataset.eval_batches("train", batch_size)
    saved = tf.train.Checkpoint(model=trained_network)
    tf.train.CheckpointManager(saved, str(tmp_path), 1).save()
    task = SegmentationTask(
        unmeasured, dataset, CrossEntropy(), 2, 0, initial=InitialWeights(str(tmp_path))
    )
    task.initialize(unmeasured)
    for expected, found in zip(quantized.variables, unmeasured.variables):
        np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=found.name)


def test_its_checkpoints(quantized, unmeasured, trained_network, drawn, tmp_path):
    folders = {}
    for name, model in (("float", trained_network), ("learnt", quantized)):
        folders[name] = str(tmp_path / name)
        tf.train.CheckpointManager(tf.train.Checkpoint(model=model), folders[name], 1).save()
    found = loading.read(folders["learnt"]).arrays
    assert found.keys() == {variable_name(v) for v in quantized.variables}
    for variable in quantized.variables:
        np.testing.assert_array_equal(found[variable_name(variable)], variable)
    with pytest.raises(UserError, match="a checkpoint of quantization-aware training, and a float"):
        loading.load(trained_network, folders["learnt"])
    with pytest.raises(UserError, match=r"a float checkpoint, .*\(INIT_CHECKPOINT\)"):
        loading.load(unmeasured, folders["float"])
    with pytest.raises(UserError, match="a TFLite file has no ranges"):
        loading.load(unmeasured, "some.tflite")
