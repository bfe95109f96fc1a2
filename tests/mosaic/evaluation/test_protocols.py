"""Settings of an evaluation, and what each protocol leaves out."""

import pytest

from mosaic.evaluation.protocols import PROTOCOLS, Evaluation
from mosaic.utils.errors import UserError

NAMES = ("other", "wall", "sky")


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_ignored_classes_are_those_that_the_protocol_names(protocol):
    found = Evaluation(protocol=protocol).ignored_classes(NAMES)
    assert found == ([0] if "ade20k" in protocol else [])


def test_an_unknown_protocol_is_named():
    with pytest.raises(UserError, match="no protocol 'plane'; did you mean 'plain'"):
        Evaluation(protocol="plane").ignored_classes(NAMES)


def test_a_batch_of_no_images_is_named():
    with pytest.raises(UserError, match=r"Evaluation\.batch_size = 0: it must be at least 1"):
        Evaluation(batch_size=0)
