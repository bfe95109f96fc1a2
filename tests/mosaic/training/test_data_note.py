"""The note of a run's data: other data is told when the run goes on."""

import pytest

from drawn import Drawn
from mosaic.training import data_note


class _Sized(Drawn):
    """A data set that tells the size of its records."""

    def __init__(self, count, size):
        super().__init__(count)
        self._size = size

    def num_bytes(self, split):
        return self._size


@pytest.mark.parametrize(
    "before, after, told",
    [
        (Drawn(5), Drawn(5), ""),
        (Drawn(5), Drawn(4), "train has 4 images instead of 5; val has 4 images instead of 5"),
        (_Sized(5, 900), _Sized(5, 900), ""),
        (_Sized(5, 900), _Sized(5, 901), "train has as many images, but some are others"),
        (Drawn(5), _Sized(5, 900), ""),
    ],
)
def test_other_data_is_told_in_one_line(tmp_path, capsys, before, after, told):
    data_note.keep(str(tmp_path), before, is_resumed=False)
    data_note.keep(str(tmp_path), after, is_resumed=True)
    line = capsys.readouterr().err
    assert told in line
    assert line.count("\n") == bool(told)


def test_it_is_told_once(tmp_path, capsys):
    for count in (5, 4, 4):
        data_note.keep(str(tmp_path), Drawn(count), is_resumed=True)
    assert capsys.readouterr().err.count("warning") == 1


def test_a_new_run_has_nothing_to_compare_with(tmp_path, capsys):
    data_note.keep(str(tmp_path), Drawn(5), is_resumed=True)
    data_note.keep(str(tmp_path), Drawn(4), is_resumed=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b'{"splits": [1]}', b'{"splits": {"a": 1}}']
)
def test_a_damaged_note_is_written_anew(tmp_path, capsys, content):
    (tmp_path / data_note.FILE).write_bytes(content)
    data_note.keep(str(tmp_path), Drawn(5), is_resumed=True)
    data_note.keep(str(tmp_path), Drawn(5), is_resumed=True)
    assert capsys.readouterr().err == ""
