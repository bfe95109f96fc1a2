"""The data sets: TFDS builders, label maps and the input pipeline."""
