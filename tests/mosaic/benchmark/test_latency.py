"""How long one image takes: whose turn it is, and what counts."""

import numpy as np

from mosaic.benchmark import latency as timing
from mosaic.inference.file_predictors import of_file
from mosaic.tflite.model_file import opened

SIZE = (64, 96)


def test_models_take_turns_on_the_same_images(files, drawn, monkeypatch):
    """Model 1, 2, 1, 2, ..., and both see the same image in the same round."""
    seen = []
    predictors = [of_file(opened(str(files / name))) for name in ("none.tflite", "int8.tflite")]
    for number, predictor in enumerate(predictors):
        monkeypatch.setattr(
            predictor, "feed", lambda image, n=number: seen.append((n, int(image.sum())))
        )
    images = list(drawn.images[:2])
    timing.interleaved(predictors, images, SIZE, runs=3, warmup=1)
    sums = [int(image.sum()) for image in images]
    assert seen == [(n, sums[r % 2]) for r in range(4) for n in (0, 1)]


def test_warm_up_does_not_count(files, monkeypatch):
    ticks = iter(np.cumsum([0, 100, 0, 1, 0, 2, 0, 3]).tolist())
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    predictor = of_file(opened(str(files / "none.tflite")))
    monkeypatch.setattr(timing, "Progress", _Silent)
    image = np.zeros((*SIZE, 3), np.uint8)
    (latency,) = timing.interleaved([predictor], [image], SIZE, runs=3, warmup=1)
    assert latency == timing.Latency(2000.0, 1500.0, 2500.0, 1000.0, 2800.0)


class _Silent:
    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, *_):
        pass
