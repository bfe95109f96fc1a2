"""Exported TFLite files: their answers, their numbers, and what is refused."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from mosaic.export import saved_model, tflite, tolerances
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite import model_file
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import RunError, UserError
from serving import expected

SIZE = (64, 96)


@pytest.mark.parametrize("output", tflite.OUTPUTS)
def test_tflite(small_network, drawn, tmp_path, output):
    path = tmp_path / "network.tflite"
    images = list(drawn.images[:2])
    agreement = tflite.write(
        small_network, images, str(path), tflite.TFLiteOptions(SIZE, output=output)
    )
    assert agreement.equal > 0.999
    answer = TFLitePredictor(TFLiteModel.open(path)).run(images[:1])[0]
    serve = Interpreter(str(path)).get_signature_runner()
    (served,) = serve(images=images[0][np.newaxis].astype(np.float32)).values()
    np.testing.assert_allclose(served[0], answer, atol=1e-5)
    want = expected(small_network, drawn.images[:1])[0]
    if output == "logits_stride4":
        want = small_network(drawn.images[:1].astype(np.float32))[0].numpy()
        assert want.shape == (16, 24, 3)
    if output != "labels":
        np.testing.assert_allclose(answer, want, atol=1e-3)
    else:
        assert answer.dtype == np.int32
        assert np.mean(answer == want.argmax(-1)) > 0.999


@pytest.fixture(scope="module")
def full_bytes(trained_network, drawn, tmp_path_factory):
    """Size of the float file."""
    path = tmp_path_factory.mktemp("full") / "full.tflite"
    tflite.write(trained_network, [drawn.images[0]], str(path), tflite.TFLiteOptions(SIZE))
    assert TFLiteModel.open(path).precision == "float32"
    return path.stat().st_size


@pytest.mark.parametrize("quantize", ["float16", "dynamic", "int8"])
def test_quantized_files_are_smaller_and_agree(
    trained_network, drawn, full_bytes, tmp_path, quantize
):
    small, images = tmp_path / "small.tflite", list(drawn.images)
    agreement = tflite.write(
        trained_network,
        images[:2],
        str(small),
        tflite.TFLiteOptions(SIZE, output="labels", quantize=quantize),
        representative=lambda: images,
    )
    assert agreement.equal >= tolerances.LIMITS[quantize].equal
    assert small.stat().st_size < 0.6 * full_bytes
    assert TFLiteModel.open(small).precision == quantize


@pytest.mark.parametrize(
    ("input_type", "output", "conversions"), [("int8", "labels", 0), ("uint8", "logits", 2)]
)
def test_int8_files_compute_in_integers(
    trained_network, drawn, tmp_path, input_type, output, conversions
):
    """From the image's bytes to the answer; uint8 at either end costs a conversion."""
    path, images = tmp_path / "x.tflite", list(drawn.images)
    agreement = tflite.write(
        trained_network,
        images[:2],
        str(path),
        tflite.TFLiteOptions(SIZE, output=output, quantize="int8", input_type=input_type),
        representative=lambda: images,
    )
    assert agreement.equal > 0.9
    model = TFLiteModel.open(path)
    graph, operators = model.graph, model.operators
    types = {index: model_file.type_of(tensor) for index, tensor in enumerate(graph.tensors)}
    assert set(types.values()) <= {"INT8", "UINT8", "INT32"}
    ends = [types[graph.inputs[0]], types[graph.outputs[0]]]
    answer = "INT32" if output == "labels" else input_type.upper()
    assert ends == [input_type.upper(), answer]
    assert [kind for kind, _ in operators].count("QUANTIZE") == conversions
    kernels = [graph.tensors[op.inputs[1]] for kind, op in operators if kind == "CONV_2D"]
    assert all(
        len(kernel.quantization.scale) == kernel.shape[0]
        for kernel in kernels
        if kernel.shape[0] > 1
    )
    interpreter = Interpreter(str(path))
    kind = "labels" if output == "labels" else "logits"
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["images"], "outputs": [kind]}
    }
    source = interpreter.get_input_details()[0]["quantization"]
    assert source == (1.0, 0 if input_type == "uint8" else -128)
    assert tflite_metadata.read(model).normalization == ([0.0], [1.0])


@pytest.mark.parametrize(("quantize", "output"), [("none", "logits"), ("int8", "labels")])
def test_the_compiled_models_of_litert_give_the_interpreters_answers(
    trained_network, drawn, tmp_path, quantize, output
):
    path, images = str(tmp_path / "x.tflite"), list(drawn.images)
    options = tflite.TFLiteOptions(SIZE, output, quantize, limit=tolerances.Limit(None, 0.0))
    tflite.write(trained_network, images[:1], path, options, representative=lambda: images)
    given = drawn.images[:1].astype(np.float32 if quantize == "none" else np.uint8)
    (want,) = Interpreter(path).get_signature_runner("serving_default")(images=given).values()
    # Only newer releases of the package have it.
    compiled_model = pytest.importorskip("ai_edge_litert.compiled_model")
    model = compiled_model.CompiledModel.from_file(path)
    source = model.create_input_buffer_by_name("serving_default", "images")
    target = model.create_output_buffer_by_name("serving_default", output)
    source.write(given)
    model.run_by_name("serving_default", {"images": source}, {output: target})
    got = np.reshape(target.read(want.size, want.dtype.type), want.shape)
    assert len(np.unique(want)) > 1
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_sizes_that_four_does_not_divide(tiny_network, drawn, tmp_path):
    path = str(tmp_path / "x.tflite")
    tflite.write(
        tiny_network,
        [drawn.images[0]],
        path,
        tflite.TFLiteOptions((66, 97), output="logits_stride4"),
    )
    image = np.zeros((1, 66, 97, 3), np.uint8)
    assert TFLitePredictor(TFLiteModel.open(path)).run(image).shape == (1, 17, 25, 3)


def test_a_failed_check_leaves_nothing(small_network, drawn, tmp_path, monkeypatch):
    impossible = tolerances.Limit(None, 1.1)
    monkeypatch.setitem(tolerances.LIMITS, "none", impossible)
    with pytest.raises(RunError, match="nothing was kept") as caught:
        tflite.write(
            small_network, [drawn.images[0]], str(tmp_path / "x.tflite"), tflite.TFLiteOptions(SIZE)
        )
    assert caught.value.exit_code == 1
    with pytest.raises(RunError, match="nothing was kept"):
        saved_model.write(small_network, [drawn.images[0]], str(tmp_path / "saved"))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_keeps_the_file_before(small_network, drawn, tmp_path, monkeypatch):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"before")
    monkeypatch.setitem(tolerances.LIMITS, "none", tolerances.Limit(None, 1.1))
    with pytest.raises(RunError):
        tflite.write(small_network, [drawn.images[0]], str(path), tflite.TFLiteOptions(SIZE))
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "probabilities"}, "not one of logits, logits_stride4, labels"),
        ({"quantize": "int4"}, "not one of none, float16"),
        ({"input_type": "int16"}, "not one of uint8, int8"),
        ({"quantize": "int8"}, "needs representative images"),
        ({"size": (32, 96)}, "cannot be pooled into 4x4 bins"),
    ],
)
def test_bad_calls_are_told_in_one_line(small_network, drawn, tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        options = tflite.TFLiteOptions(**{"size": SIZE, **arguments})
        tflite.write(small_network, [drawn.images[0]], str(tmp_path / "x.tflite"), options)
    assert list(tmp_path.iterdir()) == []
