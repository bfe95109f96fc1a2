"""What tests of networks share: images, weights and comparisons."""

import numpy as np

from mosaic.models.variables import variable_name


def noise(height, width, batch=1, seed=0):
    values = np.random.default_rng(seed).uniform(0, 255, [batch, height, width, 3])
    return values.astype(np.float32)


def randomize(variables, seed=0, gain=2):
    """Gives every variable a value of its own; variances stay positive.

    Activations keep their size at a gain of 2. Residuals that grow would amplify the last digit's
    rounding to the third: for them it is 1.
    """
    rng = np.random.default_rng(seed)
    for variable in variables:
        if variable.name.endswith("kernel:0"):
            inputs = variable.shape[: 2 if "depthwise" in variable.name else 3]
            value = rng.normal(0, np.sqrt(gain / np.prod(inputs)), variable.shape)
        elif "variance" in variable.name or "gamma" in variable.name:
            value = rng.uniform(0.5, 1.5, variable.shape)
        else:
            value = rng.normal(0, 0.1, variable.shape)
        variable.assign(value)


def assert_close(found, expected, name=""):
    """Compares maps of activations, as closely as float32 allows at their own scale."""
    scale = np.ptp(expected)
    assert scale > 0, name
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale, err_msg=name)


def shapes(model):
    return {variable_name(v): tuple(v.shape) for v in model.variables}


RESNET = {"backbone": "DilatedResNet50", "activation": "swish"}
