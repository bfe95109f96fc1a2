"""Where a figure came from: command, day and machine."""

import datetime
import importlib.metadata
import os
import sys

from mosaic.utils.provenance import command, machine, provenance


def test_the_command_can_be_run_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--gin.A=(1, 2)"])
    assert command() == "python train.py '--gin.A=(1, 2)'"
    monkeypatch.setattr(sys, "argv", ["mosaic train", "--gin.A=(1, 2)"])
    assert command() == "mosaic train '--gin.A=(1, 2)'"


def test_a_figure_has_its_command_day_and_machine():
    found = provenance("python x.py")
    assert found["command"] == "python x.py"
    assert datetime.date.fromisoformat(found["date"]) <= datetime.date.today()
    assert found["machine"] == machine()


def test_the_machine_tells_its_size():
    assert machine()["cores"] == os.cpu_count()
    assert machine()["memory_gib"] > 0
    assert machine()["processor"]


def test_the_machine_tells_its_versions():
    expected = importlib.metadata.version("ai-edge-litert")
    assert machine()["ai_edge_litert"] == expected
