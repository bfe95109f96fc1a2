"""Scoring that cannot fit into memory is told before any is asked for."""

import pytest

from mosaic.distribution import device_memory
from mosaic.evaluation import memory_check
from mosaic.evaluation.protocols import Evaluation
from mosaic.utils import memory
from mosaic.utils.errors import UserError

GIB = 2**30


@pytest.fixture(autouse=True)
def _room(monkeypatch):
    monkeypatch.setattr(memory, "total", lambda: GIB)


@pytest.mark.parametrize(
    "name, value",
    [
        ("batch_size", 10**9),
        ("scales", (0.5, 1000.0)),
        ("padded_size", (99999, 99999)),
        ("input_size", (99999, 99999)),
    ],
)
def test_the_setting_is_named(drawn, name, value):
    with pytest.raises(UserError) as caught:
        memory_check.check(drawn, Evaluation(**{name: value}))
    start = f"Evaluation.{name} = {value} for images of 64x96: it would need at least "
    assert str(caught.value).startswith(start)
    assert " GiB of memory, and there are 1.0 GiB; take " in str(caught.value)


def test_an_image_that_is_too_large_is_named(drawn):
    dataset = type(drawn)()
    dataset.check_labels = dataset.fingerprint = lambda split: ()
    dataset.image_size = None
    dataset.first_of_sizes = lambda split: {(64, 96): "a.png", (30000, 20000): "b.png"}
    with pytest.raises(UserError, match=r"^b\.png: an image of 30000x20000: it would need"):
        memory_check.check(dataset, Evaluation(batch_size=10**9))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scales": (0.5, 1.0, 2.0), "flip": True},
        {"window": (99999, 99999)},  # no window is larger than its image
        {"scales": (1000.0,), "padded_size": (64, 64)},  # scaled back to one size
    ],
)
def test_what_fits_passes(drawn, settings):
    memory_check.check(drawn, Evaluation(**settings))


def test_a_gpus_memory_counts_instead(drawn, monkeypatch):
    room = device_memory.Room(1000, "GPU memory")
    monkeypatch.setattr(device_memory, "of_networks", lambda: room)
    with pytest.raises(UserError, match=r"GiB of GPU memory, and there are 0\.0 GiB"):
        memory_check.check(drawn, Evaluation())
