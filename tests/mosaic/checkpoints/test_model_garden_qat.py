"""Checkpoints of the Garden's quantization-aware training, with their rounding and without."""

import json
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from checkpoints import stored
from loss_inputs import own_dataset
from mosaic.checkpoints import loading, model_garden_qat, origin
from mosaic.export import tflite, tolerances
from mosaic.models import quantization_aware, quantizer_placement
from mosaic.models.mosaic import mosaic
from mosaic.models.variables import variable_name
from mosaic.training.losses import CrossEntropy
from mosaic.training.task import InitialWeights, SegmentationTask


@pytest.fixture(scope="module")
def golden(shared):
    return shared("golden/garden_mosaic_qat")


@pytest.fixture(scope="module")
def reference(golden):
    with np.load(golden / "reference.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def rounding(golden):
    """The network with rounding; all tests load the same into it, or into its float network."""
    settings = json.loads((golden / "settings.json").read_text())
    network = mosaic(
        settings["num_classes"],
        branch_filters=settings["branch_filter_depths"],
        bins=settings["pyramid_pool_bin_nums"],
    )
    return quantization_aware.quantize_aware(network)


@pytest.fixture(scope="module")
def values(golden, rounding, tmp_path_factory):
    path = tmp_path_factory.mktemp("qat") / "qat.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for file in golden.glob("ckpt.*"):
            archive.add(file, f"qat/{file.name}")
    loading.load(rounding, str(path))
    return {variable_name(variable): variable.numpy() for variable in rounding.variables}


def _rms(one, other):
    return float(np.sqrt(np.mean(np.square(one - other))))


def test_a_float_network_takes_the_weights_alone(golden, rounding, reference, capsys):
    network = quantization_aware.float_network(rounding)
    loading.load(network, str(golden / "ckpt"))
    logits = network(reference["images"], training=False)
    assert np.max(np.abs(logits - reference["logits_float"])) <= 1e-4
    said = capsys.readouterr().err
    assert said.startswith(str(golden / "ckpt")) and "mosaic_cityscapes_qat" in said
    assert said.count("\n") == 1


def test_a_network_with_rounding_is_nearer_than_one_without(reference, rounding, values):
    logits = rounding(reference["images"], training=False).numpy()
    without = _rms(reference["logits_float"], reference["logits"])
    assert _rms(logits, reference["logits"]) <= 0.9 * without < 0.047


def test_learnt_ranges_are_loaded(golden, values):
    theirs = stored(str(golden / "ckpt"))
    for ours, place in (
        ("backbone_02_add", "backbone/layer_with_weights-5/layer/_add"),
        ("encoder_group1_project_relu_range2", "neck/_multi_kernel_group_conv/_activation_fn"),
        ("logits", "head/_merge_stages/1/_add_layer"),
    ):
        name = ours if "_range" in ours else f"{ours}_range"
        for mine, end in (("low", "min"), ("high", "max")):
            assert values[f"{name}/{mine}"] == theirs[f"{place}/output_{end}"]


def test_depthwise_kernels_are_those_of_its_rounding(golden, values):
    kernel = values["backbone_02_spatial_depthwise/depthwise_kernel"]
    place = "backbone/layer_with_weights-5/layer/_conv1"
    step = stored(str(golden / "ckpt"))[f"{place}/depthwise_kernel_max"][0] / 127
    np.testing.assert_allclose(kernel / step, np.round(kernel / step), atol=1e-3)


def test_ranges_of_few_steps_have_the_limits_of_other_int8_files(rounding, values):
    assert not quantization_aware.has_settled(rounding)
    assert tolerances.of_model(rounding, "int8") == tolerances.LIMITS["int8"]


@pytest.mark.slow
@pytest.mark.parametrize("measured, least, most", [(False, 0.88, 0.94), (True, 0.96, 0.99)])
def test_young_ranges_alone_part_a_file_from_its_network(
    golden, rounding, values, reference, tmp_path, record_property, measured, least, most
):
    """The same weights, with the checkpoint's ranges of few steps, or with measured ones."""
    images = list(reference["images"])
    if measured:
        loading.load(quantization_aware.float_network(rounding), str(golden / "ckpt"))
        quantization_aware.start(rounding, images)
    options = tflite.TFLiteOptions(images[0].shape[:2], "logits_stride4", "int8")
    try:
        found = tflite.write(rounding, images, str(tmp_path / "x.tflite"), options)
    finally:
        for variable in rounding.variables:
            variable.assign(values[variable_name(variable)])
    record_property(f"qat_equal_{'measured' if measured else 'young'}", found.equal)
    assert least < found.equal < most
    young = np.mean(reference["logits"].argmax(-1) == reference["logits_float"].argmax(-1))
    # Its own rounding changes more of the classes than the file does.
    assert measured or found.equal > young


def test_training_starts_from_its_ranges(golden, rounding, values):
    for variable in rounding.variables:
        variable.assign(tf.zeros_like(variable))
    start = InitialWeights(str(golden / "ckpt"))
    task = SegmentationTask(rounding, own_dataset(255), CrossEntropy(), 1, 0, initial=start)
    task.initialize(rounding)
    for variable in rounding.variables:
        np.testing.assert_array_equal(variable, values[variable_name(variable)])
    assert task.start == origin.start_of(loading.read(str(golden / "ckpt")), ("",))
    assert (task.start["format"], task.start["holds"]) == ("garden_qat", origin.NETWORK)


def test_a_network_of_other_classes_has_other_ranges(golden, rounding):
    network = quantization_aware.float_network(rounding)
    assert loading.brings_ranges(str(golden / "ckpt"), network)
    assert not loading.brings_ranges(str(golden / "ckpt"), mosaic(3))


def test_plain_names_count_the_layers_that_have_weights():
    names = {
        "backbone/layer_with_weights-0/quantize_layer_min": "input",
        "backbone/layer_with_weights-1/layer/_conv0/layer/kernel": "first",
        "backbone/layer_with_weights-1/layer/_activation_layer/output_max": "range",
        "backbone/layer_with_weights-2/optimizer_step": "nothing",
        "backbone/layer_with_weights-3/layer/_conv0/layer/kernel": "second",
        "neck/_encoder_projection/0/layer/kernel": "neck",
    }
    assert model_garden_qat.plain(names) == {
        "backbone/layer_with_weights-0/_conv0/kernel": "first",
        "backbone/layer_with_weights-0/_activation_layer/output_max": "range",
        "backbone/layer_with_weights-1/_conv0/kernel": "second",
        "neck/_encoder_projection/0/kernel": "neck",
    }


def test_every_measured_range_of_mosaic_has_a_name_there(small_network):
    measured = [site for site in quantizer_placement.sites(small_network) if site.measured]
    variables = [f"{site.name}/{end}" for site in measured for end in ("low", "high")]
    assert set(model_garden_qat.names(variables)) == set(variables)


def test_only_kernels_with_one_range_for_all_channels_are_rounded():
    arrays = {
        "a/depthwise_kernel": np.array([[0.1, 0.6, 1.0]], np.float32),
        "a/depthwise_kernel_min": np.float32([-1.0]),
        "a/depthwise_kernel_max": np.float32([1.0]),
        "b/kernel": np.float32([[0.123]]),
        "b/kernel_min": np.float32([-1.0]),
        "b/kernel_max": np.float32([1.0]),
    }
    found = model_garden_qat.with_rounded_depthwise(
        loading.Variables("path", "garden", None, arrays)
    ).arrays
    expected = np.round(arrays["a/depthwise_kernel"] * 127) / 127
    np.testing.assert_allclose(found["a/depthwise_kernel"], expected, atol=1e-6)
    assert tf.reduce_all(found["b/kernel"] == arrays["b/kernel"])
