"""TFLite files that do not fit the configured network: the message names the settings that do."""

import gin
import pytest
import tensorflow as tf

import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from mosaic import config
from mosaic.checkpoints import loading
from mosaic.utils.errors import UserError
from networks import randomize

pytestmark = pytest.mark.slow  # each try reads the whole file again

SMALL = ("width_multiplier = 0.1", "width_divisor = 1", "aspp_filters = 8", "output_stride = 8")


@pytest.fixture(autouse=True)
def cleared():
    yield
    gin.clear_config()


def configure(*settings, network="models/zoo_mnv2"):
    small, kind = (SMALL, "deeplab") if network == "models/zoo_mnv2" else ((), "mosaic")
    bindings = [f"{kind}.{setting}" for setting in (*small, *settings)]
    config.parse([network], ["NUM_CLASSES = 4", "WEIGHT_DECAY = 0.0", *bindings])
    return config.build("train.model")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A network of three classes at output stride 16 as a TFLite file."""
    model = configure("output_stride = 16", "num_classes = 3")
    return converted(model, (65, 97), tmp_path_factory.mktemp("file"))


def converted(model, size, folder):
    gin.clear_config()
    randomize(model.variables)
    traced = tf.function(lambda x: model(x, training=False))
    concrete = traced.get_concrete_function(tf.TensorSpec([1, *size, 3]))
    path = folder / "x.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    path.write_bytes(converter.convert())
    return str(path)


@pytest.mark.parametrize(
    "settings, told",
    [
        (
            ("num_classes = 3", "pooling_first = False", "decoder = True"),
            "`deeplab.output_stride = 16`, `deeplab.pooling_first = True`, "
            "`deeplab.decoder = False`",
        ),
    ],
)
def test_the_mend_is_named(file, settings, told):
    with pytest.raises(UserError) as caught:
        loading.load(configure(*settings), file)
    message = str(caught.value)
    assert f"does not fit this network; it fits {told}: first at" in message
    assert "\n" not in message


def test_training_takes_a_file_of_other_classes(file, capsys):
    model = configure("output_stride = 16")
    assert loading.start_from(model, file)[1] == {"logits"}
    assert "logits of this network learns anew" in capsys.readouterr().err
    gin.clear_config()
    with pytest.raises(UserError, match=r"it fits `deeplab\.output_stride = 16`: first at"):
        loading.start_from(configure(), file)


@pytest.mark.parametrize(
    "settings, network",
    [(("atrous_rates = (6,)",), "models/zoo_mnv2"), ((), "models/mosaic")],
)
def test_a_file_of_no_known_width_is_only_compared(file, settings, network):
    with pytest.raises(UserError, match="does not fit this network, first at"):
        loading.load(configure(*settings, network=network), file)


@pytest.mark.parametrize(
    "name, network, told",
    [
        (
            "deeplabv3_mnv2_dm05_pascal_quant",
            "models/mosaic",
            "it is of DeepLab, as in the experiment zoo_mnv2_dm05_pascal: first at",
        ),
        (
            "mosaic_r4_ade20k_uint8",
            "models/zoo_xception65",
            "it is of MOSAIC, as in the experiment ade20k_on_camvid or ade20k_on_cityscapes or "
            "mosaic_ade20k_top31: first at",
        ),
    ],
)
def test_the_experiment_of_a_published_file_is_named(shared, name, network, told):
    file = str(shared(f"models/{name}.tflite"))
    with pytest.raises(UserError) as caught:
        loading.load(configure(network=network), file)
    assert f"does not fit this network; {told}" in str(caught.value)


@pytest.mark.parametrize(
    "settings, told",
    [
        (
            ("bins = (4, 2)", "branch_filters = (8, 16)", "num_classes = 3"),
            "`NUM_CLASSES = 3`, `mosaic.branch_filters = (8, 16)`, `mosaic.bins = (4, 2)`",
        ),
        (
            (
                *("bins = (1, 2, 4)", "shared_group_convs = False", "backbone_map_first = False"),
                *("half_pixel_centers = False", "projected_filters = (8, 6)"),
                *("normalization = 'symmetric'", "first_atrous_dilation = 1"),
            ),
            "`mosaic.bins = (1, 2, 4)`, `mosaic.backbone_map_first = False`, "
            "`mosaic.projected_filters = (8, 6)`, `mosaic.shared_group_convs = False`, "
            "`mosaic.first_atrous_dilation = 1`, `mosaic.half_pixel_centers = False`, "
            "`mosaic.normalization = 'symmetric'`",
        ),
    ],
)
def test_mosaics_mend_is_named(tmp_path, settings, told):
    path = converted(configure(*settings, network="models/mosaic"), (64, 128), tmp_path)
    with pytest.raises(UserError) as caught:
        loading.load(configure(network="models/mosaic"), path)
    assert f"does not fit this network; it fits {told}: first at" in str(caught.value)
