"""Numbers and lists of things in sentences."""

import pytest

from mosaic.utils.numbers import listed, number_of


@pytest.mark.parametrize("count, text", [(0, "0 images"), (1, "1 image"), (2, "2 images")])
def test_a_number_with_its_noun(count, text):
    assert number_of(count, "image") == text


@pytest.mark.parametrize(
    "names, text",
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_a_list_in_words(names, text):
    assert listed(names) == text
