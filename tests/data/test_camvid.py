"""CamVid: made-on-the-spot folders in its layout, and the real one where it is there."""

import numpy as np
import pytest

from camvid_folders import HEIGHT, IGNORE, WIDTH, examples, indices, load, write_split
from data.camvid import camvid


def test_description(dataset):
    assert dataset.splits == ("train", "val")
    assert (dataset.num_images("train"), dataset.num_images("val")) == (5, 3)
    assert dataset.image_size == (HEIGHT, WIDTH)
    assert dataset.num_classes == 11
    assert dataset.ignore_label == IGNORE
    assert (dataset.class_names[0], dataset.class_names[10]) == ("Sky", "Bicyclist")
    assert dataset.colors[3] == (128, 64, 128)


def test_the_folder_as_published_with_its_lists_and_test_split(tmp_path):
    for count, split in enumerate(("train", "val", "test"), 1):
        names = write_split(tmp_path, split, count)
        place = f"/SegNet/CamVid/{split}"
        lines = [f"{place}/{name}.png {place}annot/{name}.png\n" for name in names]
        (tmp_path / f"{split}.txt").write_text("".join(lines))
    dataset = load(tmp_path)
    assert [dataset.num_images(split) for split in dataset.splits] == [1, 2, 3]
    assert examples(dataset, "test").keys() == names.keys()


@pytest.mark.parametrize("split", ["train", "val"])
def test_pixels_and_labels_are_those_of_the_files(tree, dataset, split):
    written, found = tree[1][split], examples(dataset, split)
    assert found.keys() == written.keys()
    for name, (image, label) in written.items():
        np.testing.assert_array_equal(found[name][0], image)
        np.testing.assert_array_equal(found[name][1], indices(label))
        assert IGNORE in found[name][1]


def test_test_split_is_there_with_its_folder(tmp_path):
    for split in ("train", "val", "test"):
        written = write_split(tmp_path, split, 2)
    dataset = load(tmp_path)
    assert dataset.splits == ("train", "val", "test")
    assert examples(dataset, "test").keys() == written.keys()


# The real data.


@pytest.fixture(scope="module")
def real(shared):
    folder = shared("data/camvid")
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return camvid(str(folder))


def test_real_data_is_the_published_split(real):
    assert (real.num_images("train"), real.num_images("val")) == (367, 101)
    assert real.image_size == (360, 480)


@pytest.mark.parametrize("split", ["train", "val"])
def test_real_labels_are_classes_or_ignored(real, split):
    found = set()
    for index in range(0, real.num_images(split), 25):
        image, label = real.example(split, index)
        assert image.shape == (360, 480, 3)
        found |= set(np.unique(label).tolist())
    assert found <= {*range(11), IGNORE}
    # Sky, building, road, tree and void are in nearly every image.
    assert found >= {0, 1, 3, 5, IGNORE}
