"""A data set in memory, networks for it, and gin without what other tests bound."""

import gin
import pytest
import tensorflow as tf
import tf_keras

from checkpoints import stored
from drawn import Drawn
from mosaic.models.mosaic import mosaic
from mosaic.training.losses import CrossEntropy


@pytest.fixture(scope="session")
def drawn():
    return Drawn()


@pytest.fixture(scope="session")
def small_network():
    """MOSAIC for three classes with bins small enough for 64x96 pixels."""
    tf_keras.utils.set_random_seed(0)
    return mosaic(3, bins=(1, 4))


@pytest.fixture(scope="session")
def trained_network(drawn):
    """Knows dark from bright: without training most logits are so close that rounding decides."""
    tf_keras.utils.set_random_seed(0)
    model = mosaic(3, bins=(1, 4), norm_momentum=0.9)
    optimizer, loss = tf_keras.optimizers.Adam(1e-3), CrossEntropy()
    images = tf.constant(drawn.images, tf.float32)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(drawn.labels, model(images, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))

    for _ in range(60):
        step()
    return model


@pytest.fixture(autouse=True)
def _clean_gin():
    """Gin's state is global; the registry of configurables stays as it is."""
    gin.clear_config()
    yield
    gin.clear_config()


@pytest.fixture(scope="module")
def paper():
    """The network of the paper; tests may give it other weights."""
    return mosaic(19, branch_filters=(32, 32), bins=(4, 8, 16))


@pytest.fixture
def run(tmp_path):
    """A run's folder: the best checkpoint at step 80, the latest at step 100."""
    for folder, step in ((tmp_path, 100), (tmp_path / "best_ckpt", 80)):
        folder.mkdir(exist_ok=True)
        (folder / f"ckpt-{step}.index").touch()
        (folder / "checkpoint").write_text(f'model_checkpoint_path: "ckpt-{step}"\n')
    return tmp_path


@pytest.fixture(scope="module")
def golden(shared):
    return shared("golden/garden_mosaic_paper")


@pytest.fixture(scope="module")
def published(golden):
    """Variables of the published form by their names in the file."""
    return stored(str(golden / "ckpt"))
