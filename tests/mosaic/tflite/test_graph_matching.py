"""Which steps of a file are which of a network's."""

import numpy as np
import pytest
import tf_keras

from mosaic.export import tflite
from mosaic.models.inputs import image_input
from mosaic.models.layers import Norm, conv_bn
from mosaic.tflite import graph_from_keras, graph_matching, model_file
from mosaic.tflite import weights as tflite_weights
from mosaic.tflite.graph import Node
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError
from tiny_network import randomized

SIZE = (32, 48)


def twins():
    """Two layers alike, which only their names tell apart in part of a network."""
    images, x = image_input("symmetric")
    branches = [conv_bn(Norm(), name, 4, 3)(x) for name in ("left", "right")]
    x = tf_keras.layers.Concatenate(name="concat")(branches)
    return tf_keras.Model(images, tf_keras.layers.Conv2D(2, 1, name="logits")(x))


def test_names_tell_layers_apart_that_look_alike(images, tmp_path):
    path = tmp_path / "twins.tflite"
    tflite.write(randomized(twins()), images[:1], str(path), tflite.TFLiteOptions(SIZE))
    whole = tflite_weights.read(twins(), TFLiteModel.open(path)).arrays
    part = tflite_weights.read(twins(), TFLiteModel.open(path), ("right",)).arrays
    assert {name.split("_")[0] for name in part} == {"right"}
    for name, array in part.items():
        np.testing.assert_array_equal(array, whole[name])
    model = model_file.unpack(path.read_bytes())
    for number, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = f"t{number}".encode()
    path.write_bytes(model_file.pack(model))
    assert tflite_weights.read(twins(), TFLiteModel.open(path)).arrays.keys() == whole.keys()
    with pytest.raises(UserError, match="several sets of weights for 'right_conv'"):
        tflite_weights.read(twins(), TFLiteModel.open(path), ("right",))


def chain(*kinds, names=None):
    """Steps of those kinds, one after another, from an input on."""
    node = Node("input", "images")
    for kind, name in zip(kinds, names or kinds):
        node = Node(kind, name, (node,))
    return node


def test_steps_are_paired_by_what_they_compute():
    network, file = chain("elu", "tanh"), chain("elu", "tanh", names=("a", "b"))
    pairs = graph_matching.paired(network, (file,), "x.tflite", ("",))
    found = {step.name: [other.name for other in others] for step, others in pairs.items()}
    assert found == {"images": ["images"], "elu": ["a"], "tanh": ["b"]}


def test_the_inputs_of_a_sum_have_no_order():
    sums = []
    for order in (1, -1):
        source = Node("input", "images")
        parts = (Node("elu", "left", (source,)), Node("tanh", "right", (source,)))
        sums.append(Node("add", "sum", parts[::order]))
    pairs = graph_matching.paired(sums[0], (sums[1],), "x.tflite", ("",))
    assert all(step.name == other.name for step, others in pairs.items() for other in others)


def test_the_first_step_that_a_file_lacks_is_named():
    with pytest.raises(UserError, match=r"first at 'sigmoid'.*the file has 'tanh'"):
        graph_matching.paired(chain("elu", "sigmoid"), (chain("elu", "tanh"),), "x.tflite", ("",))


def test_a_file_that_goes_on_is_told():
    with pytest.raises(UserError, match=r"ends with 'elu'.*the file goes on to 'tanh'"):
        graph_matching.paired(chain("elu"), (chain("elu", "tanh"),), "x.tflite", ("",))


@pytest.mark.parametrize(("prefixes", "wanted"), [(("st",), True), (("",), True), (("x",), False)])
def test_layers_with_weights_are_wanted_by_the_start_of_their_names(prefixes, wanted):
    step = Node("conv", "stem", content=graph_from_keras.Layers(None, None))
    assert graph_matching.is_wanted(step, prefixes) == wanted
    assert not graph_matching.is_wanted(Node("elu", "stem"), prefixes)
