"""research/deeplab's checkpoints: the zoo's networks compute what its own code computed."""

import os
import pathlib
import tarfile

import gin
import numpy as np
import pytest
import tensorflow as tf
import zoo

from mosaic.checkpoints import loading, research_deeplab
from mosaic.models.deeplab import deeplab
from mosaic.models.variables import variable_name
from mosaic.utils.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[3]
GOLDEN = pathlib.Path(os.environ.get("MOSAIC_SHARED") or ROOT.parent / "shared")
NAMES = sorted(path.stem for path in (GOLDEN / "golden" / "deeplab_zoo").glob("*.json"))


@pytest.fixture(autouse=True)
def cleared():
    yield
    gin.clear_config()


@pytest.fixture(scope="module")
def folder(shared):
    return shared("golden/deeplab_zoo")


@pytest.mark.parametrize("name", NAMES or ["mnv2_pascal_os16"])
def test_zoo(folder, name, tmp_path):
    """Logits before the last resize, within 1e-4 of their range."""
    described = zoo.describe(folder, name)
    model = zoo.build(described)
    loaded = loading.load(model, zoo.write(folder, name, tmp_path))
    assert (loaded.format, loaded.step) == ("research", 30000)
    reference = np.load(folder / f"{name}.npz")
    expected = reference["logits"][:1]
    found = model(reference["images"][:1].astype(np.float32), training=False)
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected)) < 1e-4 * np.ptp(expected)


def _write(model, prefix, root="MobilenetV2", others=()):
    """Writes a network's variables as research/deeplab names them."""
    own = {variable_name(variable): variable for variable in model.variables}
    names = research_deeplab.names(own)
    tensors = {
        name.replace("backbone/", f"{root}/"): own[key].numpy() for key, name in names.items()
    }
    tensors |= {name: np.zeros(2, np.float32) for name in others}
    tensors["global_step"] = np.int64(7)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(value) for value in tensors.values()],
    )
    return str(prefix)


SMALL = {
    "width_multiplier": 0.1,
    "width_divisor": 1,
    "first_atrous_dilation": 1,
    "pooling_first": True,
    "align_corners": True,
    "normalization": "symmetric",
    "head_norm_epsilon": 1e-5,
    "aspp_filters": 8,
}


def small(**settings):
    return deeplab(3, **{**SMALL, **settings})


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A network, and its checkpoint in a folder as the archives have it."""
    model = small()
    for variable in model.variables:
        shape, seed = variable.shape, len(variable.name)
        variable.assign(tf.random.stateless_uniform(shape, [seed, 1], 0.5, 1.5))
    folder = tmp_path_factory.mktemp("zoo") / "deeplabv3_small"
    folder.mkdir()
    momentum = "MobilenetV2/Conv/weights/Momentum"
    head = "MobilenetV2/Logits/Conv2d_1c_1x1/biases"
    _write(model, folder / "model.ckpt", others=[momentum, head])
    (folder / "frozen_inference_graph.pb").write_bytes(b"graph")
    return model, folder


@pytest.mark.parametrize("form", ["x (1).tar.gz", "x.tar", "folder", "prefix"])
def test_all_forms_of_a_download(published, form, tmp_path):
    """Some browsers count downloads of one name, or unpack the outer layer."""
    model, folder = published
    path = {"folder": folder, "prefix": folder / "model.ckpt"}.get(form, tmp_path / form)
    if ".tar" in form:
        with tarfile.open(path, "w:gz" if form.endswith("gz") else "w") as archive:
            archive.add(folder, folder.name)
    other = small(output_stride=8)
    loading.load(other, str(path))
    for ours, theirs in zip(other.variables, model.variables):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "layer, scope",
    [
        ("backbone_00_conv", "backbone/Conv"),
        ("backbone_01_project_bn", "backbone/expanded_conv/project"),
        ("backbone_16_conv", "backbone/Conv_1"),
        ("backbone_04_se_expand", "backbone/expanded_conv_3/squeeze_excite/Conv_1"),
        ("backbone_entry1_bn", "backbone/entry_flow/conv1_2"),
        (
            "backbone_block18_sep2_spatial_depthwise",
            "backbone/middle_flow/block1/unit_16/xception_module/separable_conv2_depthwise",
        ),
        (
            "backbone_block19_shortcut_conv",
            "backbone/exit_flow/block1/unit_1/xception_module/shortcut",
        ),
        ("aspp_project_conv", "concat_projection"),
        ("aspp2_project_conv", "aspp2_pointwise"),
        ("head1_spatial_bn", "decoder/decoder_conv1_depthwise"),
        ("logits", "logits/semantic"),
        ("logits_low", "decoder/feature_projection0"),
        ("encoder_project_conv", None),
    ],
)
def test_scope_of_a_layer(layer, scope):
    assert research_deeplab.layer_name(layer) == scope


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"align_corners": False}, "align_corners = True"),
        ({"normalization": "imagenet"}, "normalization = 'symmetric'"),
        ({"first_atrous_dilation": 2}, "first_atrous_dilation = 1"),
        ({"pooling_first": False}, "pooling_first = True"),
        ({"head_norm_epsilon": None}, "head_norm_epsilon = 1e-5"),
    ],
)
def test_settings_that_no_variable_shows(published, settings, told):
    with pytest.raises(UserError, match=f"trains its networks with {told}; set"):
        loading.load(small(**settings), str(published[1]))


def test_another_checkpoint_of_tensorflow_1(tmp_path):
    prefix = str(tmp_path / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=["a/b"], shape_and_slices=[""], tensors=[tf.zeros(2)]
    )
    with pytest.raises(UserError, match="its roots are a"):
        loading.read(prefix)
