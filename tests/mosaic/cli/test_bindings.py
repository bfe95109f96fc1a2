"""Gin bindings on the command line."""

import ast

import pytest

from mosaic import cli


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
