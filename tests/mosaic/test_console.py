"""The console command: it runs the commands of the top level under its own name."""

import pytest

from mosaic import console


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        ([], 2, "commands: train, eval,", ""),
        (["--help"], 0, "commands: train, eval,", ""),
        (["trian"], 2, "", "mosaic: 'trian' is no command; there are train, eval,"),
    ],
)
def test_without_a_command_it_tells_what_there_are(capsys, arguments, code, out, err):
    assert console.main(arguments) == code
    said = capsys.readouterr()
    assert out in said.out and err in said.err


@pytest.mark.parametrize("name", console.COMMANDS)
def test_commands_run(capsys, monkeypatch, name):
    monkeypatch.setattr("sys.argv", ["mosaic"])
    with pytest.raises(SystemExit) as caught:
        console.main([name, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "  --debug: " in out
    # Files of the repository that are not where it is installed.
    assert "python" not in out
    assert f"\nmosaic {name} " in out or f" | mosaic {name} " in out


@pytest.mark.parametrize("name", ["check_data", "check_data.py", "train.py"])
def test_commands_may_be_called_as_their_files(capsys, monkeypatch, name):
    monkeypatch.setattr("sys.argv", ["mosaic"])
    with pytest.raises(SystemExit) as caught:
        console.main([name, "--help"])
    assert caught.value.code == 0


def test_messages_name_the_command(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mosaic", "check-data", "--no_such_flag"])
    with pytest.raises(SystemExit) as caught:
        console.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("mosaic check-data: Unknown command line flag")
