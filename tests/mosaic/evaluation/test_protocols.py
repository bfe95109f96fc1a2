"""Settings of an evaluation, and what each protocol leaves out."""

import pytest

from mosaic.evaluation.protocols import PROTOCOLS, Evaluation
from mosaic.utils.errors import UserError

NAMES = ("other", "wall", "sky")


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_ignored_classes_are_those_that_the_protocol_names(protocol):
    found = Evaluation(protocol=protocol).ignored_classes(NAMES)
    assert found == ([0] if "ade20k" in protocol else [])


@pytest.mark.parametrize(
    "setting, told",
    [
        ({"protocol": "plane"}, r"^Evaluation\.protocol = 'plane': it must be one of plain, city"),
        ({"published": "mosaic_cityscape"}, "^no published .*; did you mean 'mosaic_cityscapes'"),
    ],
)
def test_unknown_names_are_told_before_anything_is_scored(setting, told):
    with pytest.raises(UserError, match=told):
        Evaluation(**setting)


def test_a_batch_of_no_images_is_named():
    with pytest.raises(UserError, match=r"Evaluation\.batch_size = 0: it must be at least 1"):
        Evaluation(batch_size=0)
