"""Which classes of one data set mean which of another."""

import json

import pytest

from data.class_map import class_map
from data.errors import DataError
from data.label_map import LabelMap


def _write(folder, **changes):
    table = {"source": "camvid", "target": "cityscapes", "classes": {"Sky": "sky"}, **changes}
    path = folder / "map.json"
    path.write_text(json.dumps({k: v for k, v in table.items() if v is not None}))
    return str(path)


@pytest.mark.parametrize("target", ["camvid", "cityscapes"])
def test_ade20k(target):
    meanings = class_map(f"ade20k_top31_to_{target}")
    source, names = LabelMap.named("ade20k_top31").names, LabelMap.named(target).names
    assert len(meanings) == 32
    assert meanings[0] == -1
    told = {source[i]: names[k].lower() for i, k in enumerate(meanings) if k >= 0}
    assert told["sky"] == "sky"
    assert told["house"] == told["building"] == "building"
    assert told["road"] == "road"
    assert told["car"] == "car"
    assert "bed" not in told


def test_own_file(tmp_path):
    found = class_map(_write(tmp_path))
    assert found == (10, *[-1] * 10)
    assert found.name in str(_write(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": {"Sly": "sky"}}, "'Sly' is no class of the source, camvid"),
        ({"classes": {"Sky": "skies"}}, "'skies' is no class of the target, cityscapes"),
        ({"source": None}, "not a class map .'source' is missing"),
        ({"target": "mars"}, "no label map of this name"),
        ({"classes": 3}, "not a class map"),
    ],
)
def test_wrong_files_are_explained(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        class_map(_write(tmp_path, **changes))


def test_a_missing_file_is_named():
    with pytest.raises(
        DataError, match=r"nowhere: no readable class map .* ade20k_top31_to_camvid"
    ):
        class_map("nowhere")
