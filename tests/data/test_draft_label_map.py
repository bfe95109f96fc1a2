"""Drafts of label maps: they load, and the masks they were made from fit them."""

import json

import numpy as np
import pytest
from PIL import Image

from checks import problems
from data import draft_label_map
from data.errors import DataError
from data.label_map import LabelMap


def _folder(root, mask):
    """Three examples whose masks `mask` makes from labels 0, 1, 3 and 8."""
    for split, count in (("train", 2), ("val", 1)):
        for name in (split, f"{split}annot"):
            (root / name).mkdir(parents=True)
        for index in range(count):
            labels = np.random.default_rng(index).choice([0, 1, 3, 8], (12, 16)).astype(np.uint8)
            image = Image.fromarray(np.zeros((12, 16, 3), np.uint8))
            image.save(root / split / f"{index}.png")
            mask(labels).save(root / f"{split}annot" / f"{index}.png")
    return str(root)


def _void(labels):
    return Image.fromarray(np.where(labels == 8, 255, labels))


def _palette(labels):
    image = Image.fromarray(labels, "P")
    image.putpalette([7, 8, 9] * 3 + [1, 2, 3] + [7, 8, 9] * 5)
    return image


def _rgb(labels):
    colors = np.random.default_rng(0).integers(0, 255, (9, 3), dtype=np.uint8)
    return Image.fromarray(colors[labels])


@pytest.mark.parametrize(
    ("mask", "labels"),
    [
        (Image.fromarray, (0, 1, 3, 8)),
        (_void, (0, 1, 3)),
        (_palette, (0, 1, 3, 8)),
        (_rgb, (0, 1, 2, 3)),
    ],
)
def test_masks_fit_their_draft(tmp_path, mask, labels):
    folder, path = _folder(tmp_path / "own", mask), str(tmp_path / "labels.json")
    told = draft_label_map.write(draft_label_map.masks_of(folder), path)
    assert len(told.splitlines()) == 4 and told.count("in 3 masks") == 4
    label_map = LabelMap.named(path)
    assert label_map.labels == labels
    assert label_map.names == tuple(f"class_{label}" for label in labels)
    assert label_map.holds_ignore == (mask is _void)
    assert len(set(label_map.colors)) == len(labels) or mask is _palette
    assert problems("folders", folder, label_map=path) == []


def test_colours_of_a_palette_are_kept(tmp_path):
    path = str(tmp_path / "labels.json")
    draft_label_map.write(draft_label_map.masks_of(_folder(tmp_path / "own", _palette)), path)
    assert json.loads((tmp_path / "labels.json").read_text())["classes"][2] == {
        "name": "class_3",
        "color": [1, 2, 3],
        "label": 3,
    }


def test_no_file_is_overwritten(tmp_path):
    (tmp_path / "labels.json").write_text("mine")
    with pytest.raises(DataError, match="is there already"):
        draft_label_map.write([], str(tmp_path / "labels.json"))


def test_masks_that_were_smoothed_are_told(tmp_path):
    def noise(labels):
        return Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8))

    masks = draft_label_map.masks_of(_folder(tmp_path / "own", noise))
    with pytest.raises(DataError, match="more than 256 colours"):
        draft_label_map.write(masks, str(tmp_path / "labels.json"))
    assert not (tmp_path / "labels.json").exists()


def test_all_damaged_masks_are_told_at_once(tmp_path):
    masks = draft_label_map.masks_of(_folder(tmp_path / "own", Image.fromarray))
    for mask in masks[:2]:
        mask.path.write_bytes(b"")
    with pytest.raises(DataError, match=r"empty; copy the file again \(and 1 more\)") as caught:
        draft_label_map.write(masks, str(tmp_path / "labels.json"))
    assert len(caught.value.details) == 2
    assert not (tmp_path / "labels.json").exists()


def test_without_masks_nothing_is_drafted(tmp_path):
    with pytest.raises(DataError, match="neither train/"):
        draft_label_map.masks_of(str(tmp_path))
