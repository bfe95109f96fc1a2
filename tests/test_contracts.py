"""The contract between networks and data sets, held against both sides."""

import inspect

import pytest

from data.dataset import Dataset
from drawn import Drawn
from mosaic.utils.segmentation_dataset import SegmentationDataset

METHODS = ("num_images", "image_id", "example", "train_batches", "eval_batches")
# `augment` and `name` are set by the constructor.
PROPERTIES = sorted(set(SegmentationDataset.__annotations__) - {"augment", "name"})


def _parameters(kind, method):
    return list(inspect.signature(getattr(kind, method)).parameters.values())


@pytest.mark.parametrize("name", PROPERTIES)
def test_data_sets_have_every_property(name):
    assert hasattr(Dataset, name)


@pytest.mark.parametrize("method", METHODS)
def test_data_sets_take_what_the_contract_says(method):
    expected = _parameters(SegmentationDataset, method)
    found = _parameters(Dataset, method)
    assert [p.name for p in found[: len(expected)]] == [p.name for p in expected]
    assert all(p.default is not p.empty for p in found[len(expected) :])


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_those_of_the_contract(method):
    found = {p.name: p.default for p in _parameters(Dataset, method)}
    for parameter in _parameters(SegmentationDataset, method):
        assert found[parameter.name] == parameter.default


def test_the_tests_data_set_fulfils_it():
    assert isinstance(Drawn(), SegmentationDataset)


def test_what_lacks_a_part_does_not_fulfil_it():
    class Unnamed(Drawn):
        name = property()

    assert not isinstance(Unnamed(), SegmentationDataset)
