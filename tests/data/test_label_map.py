"""The label maps."""

import json
import os

import numpy as np
import pytest

from data.errors import DataError
from data.label_map import LabelMap, ranges


def test_cityscapes_is_the_official_table():
    from cityscapesscripts.helpers.labels import labels

    official = sorted((x for x in labels if 0 <= x.trainId < 255), key=lambda x: x.trainId)
    ours = LabelMap.named("cityscapes")
    assert [x.trainId for x in official] == list(range(19))
    assert ours.names == tuple(x.name for x in official)
    assert ours.colors == tuple(x.color for x in official)
    assert ours.labels == tuple(x.id for x in official)
    assert ours.ignore_label == 255


def test_cityscapes_lookup_gives_the_official_train_ids():
    from cityscapesscripts.helpers.labels import labels

    expected = np.full(256, 255)
    for x in labels:
        if x.id >= 0:
            expected[x.id] = x.trainId
    np.testing.assert_array_equal(LabelMap.named("cityscapes").lookup(), expected)


def test_camvid_lookup_keeps_classes_and_ignores_the_rest():
    table = LabelMap.named("camvid").lookup()
    assert table.shape == (256,)
    assert table.dtype == np.uint8
    assert table[:11].tolist() == list(range(11))
    assert set(table[11:].tolist()) == {255}


def test_ade20k_is_in_the_benchmark_order():
    everything, top31 = LabelMap.named("ade20k"), LabelMap.named("ade20k_top31")
    assert everything.labels == tuple(range(1, 151))
    assert everything.names[:4] == ("wall", "building", "sky", "floor")
    assert [everything.names[i - 1] for i in (20, 21, 31, 32, 150)] == [
        *("chair", "car", "armchair", "seat", "flag")
    ]
    assert len(set(everything.names)) == 150
    assert top31.names == ("other", *everything.names[:31])
    assert top31.colors[1:] == everything.colors[:31]


def test_ade20k_lookups():
    everything, top31 = LabelMap.named("ade20k").lookup(), LabelMap.named("ade20k_top31").lookup()
    assert everything.tolist() == [255, *range(150), *[255] * 105]
    assert top31.tolist() == [*range(32), *[0] * 119, *[255] * 105]


def test_class_indices_and_labels_are_each_other():
    label_map = LabelMap.named("cityscapes")
    index = label_map.values()
    assert index[:19].tolist() == list(label_map.labels)
    assert set(index[19:]) == {255}
    indexed = label_map.indexed().lookup()
    assert indexed.tolist() == [*range(19), *[255] * 237]


@pytest.mark.parametrize("name", ["camvid", "cityscapes", "pascal_voc", "ade20k_top31"])
def test_classes_are_told_apart(name):
    label_map = LabelMap.named(name)
    count = len(label_map.names)
    assert len(set(label_map.names)) == count
    assert len(set(label_map.colors)) == count
    assert len(set(label_map.labels)) == count
    assert not set(label_map.labels) & {*label_map.void_labels, label_map.ignore_label}
    assert all(
        len(color) == 3 and 0 <= min(color) <= max(color) <= 255 for color in label_map.colors
    )


def test_lookup_of_labels_out_of_order():
    label_map = LabelMap(("a", "b"), ((0, 0, 0), (1, 1, 1)), labels=(9, 4), ignore_label=200)
    table = label_map.lookup()
    assert (table[9], table[4]) == (0, 1)
    assert set(np.delete(table, [9, 4]).tolist()) == {200}


def test_unknown_names_what_is_neither_class_nor_void_nor_ignored():
    label_map = LabelMap.named("camvid")
    assert label_map.unknown(np.array([[0, 10], [11, 255]], np.uint8)) == []
    assert label_map.unknown(np.array([[57, 0], [200, 57]], np.uint8)) == [57, 200]


def test_own_file_is_read(tmp_path):
    file = tmp_path / "own.json"
    file.write_text('{"classes": [{"name": "a", "color": [1, 2, 3], "label": 5}]}')
    label_map = LabelMap.named(str(file))
    assert (label_map.names, label_map.colors, label_map.labels) == (("a",), ((1, 2, 3),), (5,))
    assert label_map.ignore_label == 255


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"classes": []}, "no classes"),
        ({"ignore_label": 1}, "ignore_label is a class index"),
        ({"ignore_label": 256}, r"not in 0\.\.255"),
        ({"void_labels": [5]}, "both void and a class"),
        ({"void_colors": [[0, 0]]}, "expected 3"),
        ({"void_colors": [[0, 0, 256]]}, "not three numbers"),
        ({"classes": [{"name": "a", "color": [0, 0, 0], "label": [1, 1]}]}, "two classes"),
        ({"classes": [{"name": "a", "color": [0, 0, 0], "label": i} for i in (1, 2)]}, "one name"),
        ({"void_colors": [[0.5, 0, 0]]}, "void_colors: colour .0.5, 0, 0. is not three numbers"),
        ({"void_colors": ["#12345"]}, 'such as .128, 64, 0., or "#rrggbb"'),
        ({"classes": [{"name": "c", "color": [0, 300, 0], "label": 1}]}, "class 'c': colour"),
        ({"classes": [{"name": "c", "color": "#000000", "label": 1.7}]}, "class 'c': label 1.7"),
        ({"classes": [{"name": "c", "color": "#000000", "label": 256}]}, "class 'c': label 256"),
        ({"classes": [{"name": "c", "color": "#000000"}]}, "class 'c': 'label' is missing"),
        ({"classes": {"road": 0}}, "classes: {'road': 0} is no list"),
        ({"classes": ["road"]}, "class number 1: 'road'; write .*name.*label"),
        ({"void": [0]}, "unknown key 'void'; did you mean 'void_labels'"),
        ({"ignore_index": 255}, "unknown key 'ignore_index'; did you mean 'ignore_label'"),
        ({"classes": [{"name": "a", "label": 1, "colour": "#000000"}]}, "did you mean 'color'"),
        ({"classes": [{"name": "a\nb", "label": 1}]}, "the name .* is empty or no single line"),
        ({"classes": [{"name": "a\u2028b", "label": 1}]}, "the name .* is empty or no single line"),
        ({"classes": [{"name": "a\u2028", "label": 1}]}, "the name .* is empty or no single line"),
        ({"classes": [{"name": "\ud800", "label": 1}]}, "the name .* is empty or no single line"),
        ({"classes": [{"name": "a\tb", "label": 1}]}, "the name .* is empty or no single line"),
        ({"classes": [{"name": None, "label": 1}]}, "the name None is no text"),
        ({"classes": [{"name": " ", "label": 1}]}, "the name ' ' is empty or no single line"),
        ({"classes": [{"name": str(i), "label": i} for i in range(256)]}, "there are 255 at most"),
        ({"ignore_label": 4}, "label 4 is both ignore_label and a class, 'a'"),
    ],
)
def test_wrong_content_is_told(tmp_path, change, what):
    file = tmp_path / "own.json"
    classes = [{"name": name, "color": [1, 2, 3], "label": i} for i, name in enumerate("ab", 4)]
    file.write_text(json.dumps({"classes": classes} | change))
    with pytest.raises(DataError, match=what) as error:
        LabelMap.named(str(file))
    assert str(error.value).startswith(f"{file}: ")


def test_an_unknown_name_is_told_with_those_that_are_there():
    with pytest.raises(DataError, match=r"^camvit: no label map .*; there are ade20k, "):
        LabelMap.named("camvit")


def test_notes_of_other_tools_are_left_alone(tmp_path):
    file = tmp_path / "own.json"
    entry = {"name": "é 道", "label": 1, "id": 3, "supercategory": "ground"}
    file.write_text(json.dumps({"classes": [entry], "version": 2, "comment": "mine"}))
    assert LabelMap.named(str(file)).names == ("é 道",)


@pytest.mark.parametrize(
    "name", ["\u0645\u06cc\u200c\u0634\u0648\u062f", "道\u3000路", "rue\xa0pavée"]
)
def test_names_may_be_of_any_script(tmp_path, name):
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"classes": [{"name": name, "label": 1}]}))
    assert LabelMap.named(str(file)).names == (name,)


@pytest.mark.parametrize("key", ["categoryId", "labelId", "colour"])
def test_keys_of_other_tools_may_stand_beside_those_that_are_read(tmp_path, key):
    file = tmp_path / "own.json"
    entry = {"name": "a", "label": 1, "category": "flat", "color": "#010203", key: 7}
    table = {"classes": [entry], "ignore_label": 255, "ignore_index": 255}
    file.write_text(json.dumps(table))
    assert LabelMap.named(str(file)).colors == ((1, 2, 3),)


def test_a_file_in_another_encoding_is_told(tmp_path):
    (tmp_path / "own.json").write_text('{"classes": []}', encoding="utf-16")
    with pytest.raises(DataError, match=r"own\.json: not in UTF-8; save it again"):
        LabelMap.named(str(tmp_path / "own.json"))


def test_a_pipe_is_no_label_map(tmp_path):
    os.mkfifo(tmp_path / "own.json")
    with pytest.raises(DataError, match=r"own\.json: a pipe or a device, which is not read"):
        LabelMap.named(str(tmp_path / "own.json"))


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"classes": [{"name": "a"}]}'])
def test_wrong_file_is_named(tmp_path, text):
    file = tmp_path / "own.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError) as error:
        LabelMap.named(str(file))
    assert str(error.value).startswith(f"{file}: ")
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"images": [], "categories": [{"id": 1, "name": "a"}]}', "no `classes` in it; write"),
        ('["road", "sky"]', "no `classes` in it; write"),
        ("road\nsky\n", "no JSON: .*; write"),
        ('{"classes": [{"name": "a", "label": 0},]}', "no JSON: .*line 1 column 4"),
    ],
)
def test_lists_of_other_tools_are_told_what_to_write(tmp_path, text, what):
    file = tmp_path / "own.json"
    file.write_text(text)
    with pytest.raises(DataError, match=what):
        LabelMap.named(str(file))


def test_a_class_without_a_colour_gets_one_for_pictures_alone(tmp_path):
    file = tmp_path / "own.json"
    classes = [{"name": "a", "label": 1}, {"name": "b", "label": 2, "color": [128, 0, 0]}]
    classes.append({"name": "c", "label": 3})
    file.write_text(json.dumps({"classes": classes}))
    label_map = LabelMap.named(str(file))
    # 1 would have the colour of b.
    assert label_map.colors[1] == (128, 0, 0)
    assert len(set(label_map.colors)) == 3
    assert label_map.color_labels() == {(128, 0, 0): 2}


def test_a_map_on_other_storage_is_refused_by_its_own_name():
    with pytest.raises(DataError, match=r"LABEL_MAP=gs://b/ab\.json: a label map must be on this"):
        LabelMap.named("gs://b/ab.json")


def test_colours_may_be_written_in_hexadecimal(tmp_path):
    file = tmp_path / "own.json"
    file.write_text('{"classes": [{"name": "a", "color": "#80ff0A", "label": 5}]}')
    assert LabelMap.named(str(file)).colors == ((128, 255, 10),)


def test_ignore_label_0_means_that_0_is_not_labelled(tmp_path):
    file = tmp_path / "own.json"
    classes = [{"name": name, "color": [1, 2, 3], "label": i} for i, name in enumerate("ab", 1)]
    file.write_text(json.dumps({"classes": classes, "ignore_label": 0}))
    label_map = LabelMap.named(str(file))
    assert label_map.lookup()[:3].tolist() == [255, 0, 1]
    assert label_map.unknown(np.array([0, 1, 2, 255], np.uint8)) == [255]


@pytest.mark.parametrize(
    ("values", "text"),
    [([0, 1, 3, 8], "0, 1, 3, 8"), ([2, 1, 0], "0 to 2"), ([5, 6, 9, 10, 11], "5, 6, 9 to 11")],
)
def test_values_are_listed_as_they_are(values, text):
    assert ranges(values) == text


def test_values_with_gaps_are_told_one_by_one(tmp_path):
    classes = [{"name": f"c{x}", "color": [x, 0, 0], "label": x} for x in (0, 1, 3, 8)]
    (tmp_path / "labels.json").write_text(json.dumps({"classes": classes}))
    label_map = LabelMap.named(str(tmp_path / "labels.json"))
    assert label_map.known() == "known are 0, 1, 3, 8"
