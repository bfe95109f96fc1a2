"""Commands run in this process."""

import os
import sys

import pytest

from mosaic import cli


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command in this process; returns its exit code, output and error output."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/train.py"])
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"))

    def run(main, *arguments):
        code = cli.run("Does it.", cli.common_flags("gin_file", "model_dir"), main, arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
