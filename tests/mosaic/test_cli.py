"""The command line: exit codes, and one line for every error."""

import ast
import errno
import logging
import os
import pathlib
import re
import subprocess
import sys

import gin
import pytest
import tensorflow as tf
from absl import flags

import mosaic
import mosaic.training.train_loop  # registers what gin files bind
from mosaic import cli, config
from mosaic.utils.errors import RunError, UserError

ROOT = pathlib.Path(mosaic.__file__).resolve().parent.parent


def _raise(error):
    def main(values, bindings):
        raise error

    return main


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


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("1e-4", 1e-4),
        ("(128, 256)", (128, 256)),
        ("['a']", ["a"]),
        ("None", None),
        ("True", True),
        ("'quoted'", "quoted"),
        ("runs/a/ckpt-1", "runs/a/ckpt-1"),
        ("it's", "it's"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("dashes", ["--", "-"])
def test_split_bindings(text, value, dashes):
    """Python literals stay what they are, and anything else is a string without quotes."""
    arguments = ["--model_dir=x", f"{dashes}gin.train.NAME={text}", "y"]
    rest, (binding,) = cli.split_bindings(arguments)
    assert rest == ["--model_dir=x", "y"]
    name, _, literal = binding.partition(" = ")
    assert name == "train.NAME"
    assert ast.literal_eval(literal) == value


@pytest.mark.parametrize("text", [r"'data\d'", r"runs\d", "0in", "1if", "(" * 300])
def test_values_that_are_no_python_are_text_without_a_warning(text, recwarn):
    cli.split_bindings([f"--gin.NAME={text}"])
    assert not recwarn.list


@pytest.mark.parametrize("text", ["1e999", "-1e999"])
def test_what_gin_cannot_read_is_text(text):
    assert cli.split_bindings([f"--gin.NAME={text}"])[1] == [f"NAME = {text!r}"]


@pytest.mark.parametrize("reference", ["@CrossEntropy()", "@CrossEntropy", "%OTHER"])
def test_split_bindings_with_a_reference(reference):
    _, bindings = cli.split_bindings([f"--gin.train.loss={reference}", "--gin.A=1"])
    assert bindings == [f"train.loss = {reference}", "A = 1"]


@pytest.mark.parametrize("text, size", [(None, None), ("512x1024", (512, 1024))])
def test_parse_size(text, size):
    assert cli.parse_size(text) == size


@pytest.mark.parametrize("text", ["512", "512x", "x512", "axb", "1x2x3", "-1x2"])
def test_parse_size_of_another_form(text):
    with pytest.raises(UserError, match="write HEIGHTxWIDTH"):
        cli.parse_size(text)


def test_a_size_that_no_memory_holds():
    with pytest.raises(UserError, match=r"^--size=999999x999999: it would need at least .* GiB"):
        cli.parse_size("999999x999999")


def test_the_home_folder_is_found_in_every_path(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = []
    run(lambda values, _: seen.append(values), "--gin_file=~/a", "--gin_file=b", "--model_dir=~")
    (values,) = seen
    assert values.gin_file == [f"{tmp_path}/a", "b"]
    assert values.model_dir == str(tmp_path)


def test_both_halves_of_a_score_may_be_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    values = cli.common_flags()
    flags.DEFINE_multi_string("scores", [], "", flag_values=values)
    seen = []
    arguments = ["--scores=~/a=~/b", "--scores=c=0.5", "~/d", "e"]
    cli.run("", values, lambda *all_: seen.extend(all_), arguments, takes_more=True)
    assert seen[0].scores == [f"{tmp_path}/a={tmp_path}/b", "c=0.5"]
    assert seen[2] == [f"{tmp_path}/d", "e"]


def test_nobodys_home_folder_is_not_made(run):
    code, _, err = run(_raise(AssertionError("not called")), "--model_dir=~nobody_at_all/x")
    assert code == 2
    assert err.startswith("train.py: --model_dir=~nobody_at_all/x: no such user's folder")


def test_every_flag_for_a_path_is_expanded():
    """Flags of the doors whose help speaks of files and folders."""
    for door in ("train", "eval", "export", "predict", "benchmark", "check_data"):
        text = (ROOT / f"{door}.py").read_text() + (ROOT / "mosaic" / "cli.py").read_text()
        found = re.findall(r'DEFINE_(?:multi_)?string\(\s*"(\w+)"', text)
        assert set(found) - {"size", "split"} <= set(cli._PATH_FLAGS)


def _command(*arguments, cwd):
    """Runs a command as a user does; its error output also lists every imported module."""
    return subprocess.run(
        [sys.executable, "-X", "importtime", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def _errors(completed):
    """The error output without the list of imports, which must hold nothing heavy."""
    lines = completed.stderr.splitlines()
    imports = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    assert "absl.flags" in imports
    heavy = {"tensorflow", "tf_keras", "keras", "official", "tensorflow_datasets", "matplotlib"}
    assert not heavy & {name.split(".")[0] for name in imports}
    return [line for line in lines if not line.startswith("import time:")]


@pytest.mark.parametrize("command", ["train.py", "eval.py", "export.py"])
def test_help_answers_at_once(command, tmp_path):
    completed = _command(ROOT / command, "--help", cwd=tmp_path)
    assert completed.returncode == 0
    assert _errors(completed) == []
    assert "  --gin_file:" in completed.stdout
    assert "  --model_dir:" in completed.stdout


@pytest.mark.parametrize(
    "command, arguments, parts",
    [
        ("train.py", ["--model_dri=x"], ["model_dri", "Did you mean: model_dir"]),
        ("train.py", ["--gin_file=quickstart"], ["give --model_dir=DIR"]),
        ("train.py", ["--model_dir=x"], ["x: no config.gin in it"]),
        (
            "train.py",
            ["--gin_file=quikstart", "--model_dir=x"],
            ["--gin_file=quikstart: no such file", "did you mean 'quickstart'?"],
        ),
        (
            "train.py",
            ["--gin_file=quickstart", "--model_dir=x", "--data_dir=nowhere"],
            ["--data_dir=nowhere: no such folder"],
        ),
        ("train.py", ["--gin_file=mosaic_camvid", "--model_dir=x"], ["DATA_DIR", "--data_dir=DIR"]),
        (
            "train.py",
            ["--gin_file=quickstart", "--model_dir=x", "--gin.TRAIN_STEP=5"],
            ["--gin.TRAIN_STEP", "did you mean 'TRAIN_STEPS'?"],
        ),
        (
            "train.py",
            ["--gin_file=quickstart", "--model_dir=/proc/run"],
            ["/proc/run: /proc cannot be written to"],
        ),
        (
            "benchmark.py",
            ["a.tflite", "--output_dir=/proc/out"],
            ["/proc/out: /proc cannot be written to"],
        ),
        (
            "eval.py",
            ["--compare=a", "--output_dir=/proc/out"],
            ["/proc/out: /proc cannot be written to"],
        ),
        (
            "eval.py",
            [
                "--gin_file=quickstart",
                "--checkpoint=.",
                "--output_dir=y",
                "--submission_dir=/proc/s",
            ],
            ["/proc/s: /proc cannot be written to"],
        ),
        (
            "predict.py",
            ["--model=a", "--images=b", "--output_dir=/proc/out"],
            ["/proc/out: /proc cannot be written to"],
        ),
        (
            "check_data.py",
            ["--gin_file=quickstart", "--output_dir=/proc/out"],
            ["/proc/out: /proc cannot be written to"],
        ),
        ("eval.py", ["--gin_file=quickstart"], ["give --checkpoint=PATH or --model_dir=DIR"]),
        (
            "eval.py",
            ["--gin_file=quickstart", "--checkpoint=nowhere", "--output_dir=y"],
            ["--checkpoint=nowhere: no such file or folder"],
        ),
        ("export.py", ["--gin_file=quickstart"], ["give --export_dir=DIR"]),
        ("export.py", ["--export_dir=y", "--format="], ["--format=: name at least one"]),
        ("export.py", ["--export_dir=y", "--quantize="], ["--quantize=: name at least one"]),
        ("export.py", ["--export_dir=y", "--quantize=,"], ["--quantize=: name at least one"]),
        ("export.py", ["--export_dir=y", "--size=99999x99999"], ["--size=99999x99999: it would"]),
        (
            "eval.py",
            [
                *("--gin_file=quickstart", "--checkpoint=.", "--output_dir=y"),
                "--normalization=symmetric",
            ],
            ["--normalization=symmetric is for .tflite files"],
        ),
        ("train.py", ["--gin_file=~nobody_at_all/x"], ["~nobody_at_all/x: no such user's"]),
        ("export.py", ["--export_dir=y", "--size=12"], ["--size=12: write HEIGHTxWIDTH"]),
        ("export.py", ["--export_dir=y", "--size=0x8"], ["--size=0x8: write HEIGHTxWIDTH"]),
        ("export.py", ["--export_dir=y", "--input_type=int16"], ["--input_type", "uint8", "int8"]),
        ("export.py", ["--export_dir=y", "--output=label"], ["--output", "labels"]),
        (
            "export.py",
            ["--export_dir=y", "--format=saved_model", "--quantize=int8"],
            ["--quantize is for TFLite files; add tflite to --format"],
        ),
    ],
)
def test_mistakes_answer_at_once(command, arguments, parts, tmp_path):
    completed = _command(ROOT / command, *arguments, cwd=tmp_path)
    errors = _errors(completed)
    assert completed.returncode == 2
    assert completed.stdout == ""
    assert len(errors) == 1
    assert errors[0].startswith(f"{command}: ")
    for part in parts:
        assert part in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_what_predict_works_on(tmp_path):
    """A named experiment goes before the one that a run has saved."""
    (tmp_path / "config.gin").touch()
    (tmp_path / "checkpoint").touch()
    (tmp_path / "ckpt-3.index").touch()
    values = cli.common_flags("gin_file")
    flags.DEFINE_string("model", None, "", flag_values=values)
    saved = str(tmp_path / "config.gin")
    named = str(ROOT / "configs" / "quickstart.gin")
    for path, checkpoint in ((tmp_path, tmp_path), (tmp_path / "ckpt-3", tmp_path / "ckpt-3")):
        for arguments, files in (([], [saved]), (["--gin_file=quickstart"], [named])):
            values.unparse_flags()
            values(["predict.py", f"--model={path}", *arguments])
            assert cli.model_and_files(values) == (str(checkpoint), files)
            values.gin_file = []


def test_data_dir_becomes_the_macro(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camvid").mkdir()
    cli.configure([config.find("mosaic_camvid")], ["BATCH_SIZE = 2"], "camvid")
    assert gin.query_parameter("%DATA_DIR") == str(tmp_path / "camvid")
    assert gin.query_parameter("%BATCH_SIZE") == 2


FOLDERS = ("DATA_DIR = 'images'", "NUM_CLASSES = 2", "CROP_SIZE = (64, 64)")


def test_paths_of_macros_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for name in ("labels.json", "ckpt-7.index"):
        (tmp_path / name).touch()
    given = (*FOLDERS, "LABEL_MAP = 'labels.json'", "INIT_CHECKPOINT = 'ckpt-7'")
    cli.configure([config.find("mosaic_folders")], given, None)
    for macro, name in (
        ("DATA_DIR", "images"),
        ("LABEL_MAP", "labels.json"),
        ("INIT_CHECKPOINT", "ckpt-7"),
    ):
        assert gin.query_parameter(f"%{macro}") == str(tmp_path / name)


def test_macros_and_parameters_may_name_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    given = ("NUM_CLASSES = 2", "CROP_SIZE = (64, 64)", "DATA_DIR = '~/images'")
    own = ("LABEL_MAP = '~/labels.json'", "train.init_checkpoint = '~/ckpt-7'")
    cli.configure([config.find("mosaic_folders")], (*given, *own), None)
    assert gin.query_parameter("%DATA_DIR") == str(tmp_path / "images")
    assert gin.query_parameter("%LABEL_MAP") == str(tmp_path / "labels.json")
    assert gin.query_parameter("train.init_checkpoint") == str(tmp_path / "ckpt-7")


def test_what_is_no_path_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camvid").mkdir()
    given = (*FOLDERS, "LABEL_MAP = 'camvid'", "INIT_CHECKPOINT = 'nowhere'")
    cli.configure([config.find("mosaic_folders")], given, None)
    for macro, kept in (("LABEL_MAP", "camvid"), ("INIT_CHECKPOINT", "nowhere")):
        assert gin.query_parameter(f"%{macro}") == kept


def test_only_errors_of_tensorflow_are_shown(monkeypatch):
    """An error is one line: TensorFlow's warnings about a damaged state file are none of it."""
    monkeypatch.setattr(tf.get_logger(), "level", logging.WARNING)
    cli.configure([config.find("quickstart")], [], None)
    assert tf.get_logger().level == logging.ERROR


def test_what_a_run_started_from_is_not_known_from_its_experiment(tmp_path):
    cli.configure([config.find("mosaic_cityscapes")], [], str(tmp_path), cli.NOT_TRAINING)
    assert config.value("train.init_checkpoint") == config.UNKNOWN


@pytest.mark.parametrize("argument", ["--gin_file=quickstart", "--gin.NUM_CLASSES=3"])
@pytest.mark.parametrize("model", ["x.tflite", "saved"])
def test_files_take_no_configuration(tmp_path, model, argument):
    (tmp_path / "x.tflite").write_bytes(b"")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    arguments = [f"--model={tmp_path / model}", "--images=x", "--output_dir=z", argument]
    result = subprocess.run(
        [sys.executable, "predict.py", *arguments], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    flag = "--gin_file" if "gin_file" in argument else "--gin.NAME"
    assert f"{flag} is for checkpoints" in result.stderr
    assert model in result.stderr


def test_command_without_a_model():
    result = subprocess.run(
        [sys.executable, "predict.py", "--images", "x", "y", "--output_dir=z"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr == "predict.py: give --model\n"


def _foreign(folder, text="import intruder\n"):
    """A checkpoint's folder from elsewhere; its configuration's import leaves a file `ran`."""
    (folder / "model").mkdir()
    (folder / "model" / "ckpt-3.index").touch()
    (folder / "model" / "ckpt-3.data-00000-of-00001").touch()
    (folder / "model" / "checkpoint").write_text('model_checkpoint_path: "ckpt-3"\n')
    (folder / "model" / "config.gin").write_text(text)
    (folder / "intruder.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")


_DOORS = [
    ("predict.py", ["--model=model", "--images=x.png", "--output_dir=out"]),
    ("predict.py", ["--model=model/ckpt-3", "--images=x.png", "--output_dir=out"]),
    ("eval.py", ["--model_dir=model", "--output_dir=out"]),
    ("export.py", ["--model_dir=model", "--export_dir=out"]),
    ("train.py", ["--model_dir=model"]),
]


@pytest.mark.parametrize("command, arguments", _DOORS)
def test_code_beside_a_checkpoint_is_not_run(tmp_path, command, arguments):
    _foreign(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, str(ROOT / command), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert not (tmp_path / "ran").exists()
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    for part in ("intruder", "model/config.gin", "--allow_code", "--gin_file"):
        assert part in result.stderr


@pytest.mark.parametrize("arguments", [["--allow_code"], ["--gin_file=model/config.gin"]])
def test_code_that_its_user_allows_may_run(tmp_path, monkeypatch, arguments):
    _foreign(tmp_path)
    monkeypatch.chdir(tmp_path)
    values = cli.common_flags("gin_file", "model_dir", "allow_code")
    values(["train.py", "--model_dir=model", *arguments])
    assert cli.experiment_files(values) == ["model/config.gin"]
