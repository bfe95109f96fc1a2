"""Names and colours of classes, and the file that holds them."""

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
