"""Made-up training examples."""

import numpy as np

# OpenCV's weights have 11 bits, and its products lose up to half a level before they are rounded.
ROUNDING = 0.9


def random_example(height=12, width=16):
    rng = np.random.default_rng([height, width])
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    return image, rng.integers(0, 250, (height, width), np.uint8)
