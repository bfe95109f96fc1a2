"""Memory: what there is, and what cannot fit into it."""

import pytest

from mosaic.utils import memory
from mosaic.utils.errors import UserError


def test_there_is_memory():
    assert 2**28 < memory.total() < 2**50


def test_a_container_has_less_than_the_machine(tmp_path, monkeypatch):
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "limit").write_text(f"{2**20}\n")
    places = (tmp_path / "max", tmp_path / "limit", tmp_path / "nowhere")
    monkeypatch.setattr(memory, "_LIMITS", places)
    assert memory.total() == 2**20


def test_what_fits_passes():
    memory.check_fits("--size=64x64", memory.total(), "take less")


def test_what_cannot_fit_is_told_with_both_numbers(monkeypatch):
    monkeypatch.setattr(memory, "total", lambda: 2**31)
    message = (
        r"^--size=9x9: it would need at least 3\.0 GiB of memory, and there are 2\.0 GiB; less$"
    )
    with pytest.raises(UserError, match=message):
        memory.check_fits("--size=9x9", 3 * 2**30, "less")
