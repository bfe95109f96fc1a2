"""Names and colours of classes, and the file that holds them."""

import json

import pytest

from mosaic.utils import class_names
from mosaic.utils.errors import UserError


def test_numbered_classes_differ_in_colour():
    many = class_names.Classes.numbered(150)
    assert len(set(many.colors)) == 150
    assert many.class_names[3] == "class 3"


def test_what_is_saved_is_read(tmp_path):
    classes = class_names.Classes(("sky", "road"), ((1, 2, 3), (4, 5, 6)), ignore_label=200)
    class_names.save(str(tmp_path), classes)
    content = (tmp_path / class_names.FILE).read_bytes()
    assert class_names.parse(content, "classes.json") == classes


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"classes": [{"name": "sky"}]}', b"\xff"])
def test_what_is_no_list_of_classes_is_named(text):
    with pytest.raises(UserError, match=r"^x\.json: not a list of classes"):
        class_names.parse(text, "x.json")


def _classes(**changed):
    return json.dumps({"classes": [{"name": "sky", "color": [1, 2, 3], "label": 0, **changed}]})


@pytest.mark.parametrize(
    "text",
    [
        *(_classes(color=color) for color in ([1, 2], [1, 2, 0.5], "123", 7, None, [1, 2, 300])),
        *(_classes(color=color) for color in ({"r": 1}, [1, 2, True], [1, 2, "3"], [1, 2, 3, 4])),
        *(_classes(name=name) for name in (None, ["sky"], {})),
        json.dumps({"classes": []}),
        json.dumps({"classes": "sky"}),
        json.dumps({"classes": [], "ignore_label": 0.5}),
        "[" * 100_000,
        "\x00\x01\x02",
    ],
)
def test_damaged_classes_are_told_in_one_line(text):
    with pytest.raises(UserError, match=r"^x\.json: not a list of classes") as raised:
        class_names.parse(text.encode(), "x.json")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200
