"""One network as files of several formats, and what they cost; read only."""

import numpy as np
import pytest
import tf_keras

from mosaic.benchmark.measure import benchmark
from mosaic.export import saved_model, tflite, tolerances
from mosaic.models.mosaic import mosaic

SIZE = (64, 96)


@pytest.fixture(scope="session")
def network():
    """With biases of its own: converters store equal ones once."""
    # XNNPACK refuses the scales that some weights lead to.
    tf_keras.utils.set_random_seed(0)
    model = mosaic(3, bins=(1, 4))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.beta.assign(rng.normal(0, 0.1, layer.beta.shape))
    return model


@pytest.fixture(scope="session")
def files(network, drawn, tmp_path_factory):
    """The same network as float, float16 and int8 file, and as SavedModel."""
    folder = tmp_path_factory.mktemp("files")
    images = list(drawn.images[:1])
    saved_model.write(network, images, str(folder / "saved_model"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tolerances.LIMITS, "int8", tolerances.Limit(None, 0.0))
        for kind in ("none", "float16", "int8"):
            path = folder / f"{kind}.tflite"
            tflite.write(
                network,
                images,
                str(path),
                tflite.TFLiteOptions(SIZE, output="labels", quantize=kind),
                representative=lambda: images,
            )
    return folder


@pytest.fixture(scope="session")
def results(files):
    paths = [str(files / name) for name in ("none.tflite", "int8.tflite", "saved_model")]
    return benchmark(paths, runs=3, warmup=1, scores=["int8=0.5"], profile=True)
