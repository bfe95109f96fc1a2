"""What a run trains on, in words, and what has changed."""

import pytest

from drawn import Drawn
from mosaic.training import data_note


class _Surveyed(Drawn):
    """A data set that tells its fingerprint."""

    def __init__(self, count, fingerprint):
        super().__init__(count)
        self.fingerprint = lambda split: fingerprint
        self.check_labels = self.first_of_sizes = lambda split: ()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Drawn(5), Drawn(5), []),
        (
            Drawn(5),
            Drawn(4),
            ["train has 4 images instead of 5", "val has 4 images instead of 5"],
        ),
        (_Surveyed(5, "ab"), _Surveyed(5, "ab"), []),
        (
            _Surveyed(5, "ab"),
            _Surveyed(5, "ac"),
            [f"{split} has as many images, but some are others" for split in ("train", "val")],
        ),
        (_Surveyed(5, "7 bytes"), _Surveyed(5, "ab"), []),  # of two kinds
        (Drawn(5), _Surveyed(5, "ab"), []),
    ],
)
def test_other_data_is_told(before, after, told):
    assert data_note.changes(data_note.of(before), data_note.of(after)) == told


def test_another_data_set_and_a_lost_split_are_told():
    other = {**data_note.of(Drawn(5)), "dataset": "other"}
    del other["splits"]["val"]
    assert data_note.changes(data_note.of(Drawn(5)), other) == [
        "other instead of drawn",
        "val has 0 images instead of 5",
    ]
