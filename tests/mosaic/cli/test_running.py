"""Commands run: exit codes, and one line for every error."""

import errno
import os
import pathlib

import gin
import pytest
from absl import flags

from mosaic import cli
from mosaic.cli.flags import help_text
from mosaic.utils.errors import RunError, UserError


def _raise(error):
    def main(values, bindings):
        raise error

    return main


def test_flags_and_bindings_reach_the_command(run):
    seen = {}

    def main(values, bindings):
        seen.update(values=values, bindings=bindings)

    code, out, err = run(
        main, "--gin_file=a", "--gin.STEPS=3", "--gin_file=b", "--model_dir", "runs/x"
    )
    assert (code, out, err) == (0, "", "")
    assert seen["values"].gin_file == ["a", "b"]
    assert seen["values"].model_dir == "runs/x"
    assert not seen["values"].debug
    assert seen["bindings"] == ["STEPS = 3"]


class DataError(ValueError):
    """Stands for errors of modules that do not import `mosaic.utils.errors`."""

    exit_code = 2


@pytest.mark.parametrize(
    "error, code, line",
    [
        (UserError("x.png: not an image"), 2, "x.png: not an image"),
        (DataError("y.png: not a label"), 2, "y.png: not a label"),
        (UserError("first\n  second"), 2, "first second"),
        (RunError("step 3: the loss is nan"), 1, "step 3: the loss is nan"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/runs/ckpt"),
            2,
            "the disk is full; free some space and run again "
            "([Errno 28] No space left on device: '/runs/ckpt')",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a.gin"),
            2,
            "a.gin: No such file or directory",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/runs"),
            2,
            "/runs: Permission denied",
        ),
        (OSError(errno.EIO, "I/O error"), 1, "OSError: [Errno 5] I/O error (--debug shows where)"),
        (
            ZeroDivisionError("division\nby zero"),
            1,
            "ZeroDivisionError: division by zero (--debug shows where)",
        ),
        (AssertionError(), 1, "AssertionError: AssertionError (--debug shows where)"),
        (KeyboardInterrupt(), 1, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_error(run, error, code, line):
    assert run(_raise(error)) == (code, "", f"train.py: {line}\n")


def test_error_of_a_file_that_is_not_there(run):
    code, _, err = run(lambda values, bindings: pathlib.Path("/nowhere/file").read_text())
    assert code == 2
    assert err == "train.py: /nowhere/file: No such file or directory\n"


def test_disk_full_in_tensorflow(run):
    """TensorFlow has no errno; its own message is all there is."""
    error = RuntimeError("ckpt_temp/part-0; No space left on device")
    code, _, err = run(_raise(error))
    assert code == 2
    assert "the disk is full" in err


def test_debug_shows_the_traceback(run):
    code, _, err = run(_raise(UserError("x.png: not an image")), "--debug")
    assert code == 2
    assert "Traceback" in err
    assert "in main" in err
    assert err.splitlines()[-1] == "train.py: x.png: not an image"


@pytest.mark.parametrize("flag", ["--debug=true", "-debug"])
def test_debug_in_other_spellings(run, flag):
    code, _, err = run(_raise(RunError("failed")), flag)
    assert code == 1
    assert "Traceback" in err


def test_help(run):
    code, out, err = run(_raise(AssertionError("not called")), "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Does it.")
    for flag in ("gin_file", "model_dir", "debug", "gin.NAME=VALUE"):
        assert f"  --{flag}" in out


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (["--model_dri=x"], ["model_dri", "Did you mean: model_dir", "train.py --help"]),
        (["--model_dir"], ["model_dir", "train.py --help"]),
        (["x"], ["'x'", "flags begin with --"]),
        (["--gin.STEPS"], ["--gin.STEPS: write --gin.NAME=VALUE"]),
        (["--gin.=3"], ["--gin.=3: write --gin.NAME=VALUE"]),
    ],
)
def test_wrong_arguments(run, arguments, parts):
    code, out, err = run(_raise(AssertionError("not called")), *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("train.py: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err


@pytest.mark.parametrize("flag", ["--learning_rate=0.1", "--batch-size=4"])
def test_a_macro_given_as_a_flag_is_told(run, flag):
    code, _, err = run(_raise(AssertionError("not called")), flag)
    assert code == 2 and err.count("\n") == 1
    name = flag[2:].partition("=")[0].upper().replace("-", "_")
    assert f"{flag.partition('=')[0]}: no such flag; it is a macro: write --gin.{name}=" in err


@pytest.mark.parametrize(
    "flag, settings",
    [
        ("--patience=3", ["train.patience"]),
        ("--train.patience=3", ["train.patience"]),
        ("--flip=True", ["Evaluation.flip", "Augment.flip"]),
        ("--top-k=0.5", ["CrossEntropy.top_k"]),
    ],
)
def test_a_setting_given_as_a_flag_is_told(run, flag, settings):
    code, _, err = run(_raise(AssertionError("not called")), flag)
    assert code == 2 and err.count("\n") == 1
    written = " or ".join(f"--gin.{setting}=VALUE" for setting in settings)
    assert f"no such flag; it is a setting: write {written} " in err


def test_a_flag_written_otherwise_is_no_setting(run):
    code, _, err = run(_raise(AssertionError("not called")), "--model-dir=x")
    assert code == 2 and "--gin" not in err


IN_USER_CODE = """in user code:

    File "/lib/loop_fns.py", line 124, in loop_fn  *
        step_fn(iterator)

    TypeError: 'str' object is not callable

  In call to configurable 'train' (<function train at 0x7f>)"""
IN_A_LAYER = """in user code:

    File "/lib/task.py", line 9, in step  *
        model(images)

    ValueError: Exception encountered when calling layer 'bins' (type Bins).

    no bins

    Call arguments received by layer 'bins' (type Bins):
      * x=1"""


@pytest.mark.parametrize("number", [errno.ELOOP, errno.ENAMETOOLONG, errno.EROFS, errno.EEXIST])
def test_what_is_wrong_with_a_path_is_the_users_to_mend(run, number):
    code, _, err = run(_raise(OSError(number, os.strerror(number), "/a/b.png")))
    assert (code, err) == (2, f"train.py: /a/b.png: {os.strerror(number)}\n")


@pytest.mark.parametrize("number", [errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENOENT])
def test_so_it_is_where_gin_raises_it_again(run, number):
    @gin.configurable(f"opens_{number}", module="tests")
    def opens():
        raise OSError(number, os.strerror(number), "/a/b.png")

    code, _, err = run(lambda *_: opens())
    assert (code, err) == (2, f"train.py: [Errno {number}] {os.strerror(number)}: '/a/b.png'\n")


@pytest.mark.parametrize(
    "text, told", [(IN_USER_CODE, "'str' object is not callable"), (IN_A_LAYER, "no bins")]
)
def test_errors_in_graphs_are_told_without_places_in_code(run, text, told):
    _, _, err = run(_raise(TypeError(text)))
    assert told in err and "File" not in err and err.count("\n") == 1


def test_arguments_that_are_no_text_are_told(run):
    code, _, err = run(_raise(AssertionError("not called")), os.fsdecode(b"--model_dir=\xdf"))
    assert code == 2 and "--model_dir=\\xdf': the name is not UTF-8; rename it" in err


def test_a_command_without_configuration_takes_no_bindings(capsys):
    main = _raise(AssertionError("not called"))
    assert cli.run("", cli.common_flags(), main, ["--gin.A=1"], takes_gin=False) == 2
    assert "reads no configuration; leave out --gin" in capsys.readouterr().err
    assert cli.run("", cli.common_flags(), main, ["--help"], takes_gin=False) == 0
    assert "gin" not in capsys.readouterr().out


def test_help_lists_experiments_and_defaults(run):
    _, out, _ = run(_raise(AssertionError("not called")), "--help")
    assert "  mosaic_folders: MOSAIC on your own images and labels" in out
    assert "ade20k_on_camvid" not in out  # nothing is trained by it
    values = cli.common_flags("gin_file")
    flags.DEFINE_integer("runs", 50, "Timed runs.", flag_values=values)
    flags.DEFINE_multi_string("images", [], "Images.", flag_values=values)
    lines = help_text(values).splitlines()
    assert {"  --runs: Timed runs. Default: 50.", "  --images: Images."} <= set(lines)
    assert [line.split(":")[0] for line in lines[-2:]] == ["  --debug", "  --help"]


def test_details_of_an_error_stand_above_its_line(run):
    error = DataError("a.png: empty (and 1 more)")
    error.details = ["  a.png: empty", "  b.png: empty"]
    code, _, err = run(_raise(error))
    assert code == 2
    assert err.splitlines()[:2] == error.details and len(err.splitlines()) == 3
