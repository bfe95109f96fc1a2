"""PASCAL VOC 2012 from trees in the development kit's layout, made on the spot."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from checks import problems
from data.errors import DataError
from data.label_map import LabelMap
from data.pascal_voc import pascal_voc

LISTS = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"], "test": ["2008_000006"]}
MORE = ["2008_000002", "2008_000003"]  # With masks of the Semantic Boundaries Dataset alone.
LABELS = [*range(21), 255]


def palette():
    """The development kit's colours, 768 numbers: bits of the index from the highest on."""
    colors = np.zeros((256, 3), np.uint8)
    for index in range(256):
        for bit in range(8):
            for channel in range(3):
                colors[index, channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return colors.reshape(-1).tolist()


def size_of(name):
    return (20 + int(name[-1]), 30)


def label_of(name):
    rng = np.random.default_rng(int(name[-1]))
    return np.array(LABELS, np.uint8)[rng.integers(0, 22, size_of(name))]


def augmented_label_of(name):
    return 20 - np.minimum(label_of(name), 20)


@pytest.fixture
def tree(tmp_path):
    voc = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug"):
        (voc / folder).mkdir(parents=True)
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split in ("train", "val"):
        (voc / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(LISTS[split]))
    for name in (*LISTS["train"], *LISTS["val"], *LISTS["test"], *MORE):
        rng = np.random.default_rng(7 * int(name[-1]))
        pixels = rng.integers(0, 256, (*size_of(name), 3)).astype(np.uint8)
        Image.fromarray(pixels).save(voc / "JPEGImages" / f"{name}.jpg")
    for name in (*LISTS["train"], *LISTS["val"]):
        mask = Image.fromarray(label_of(name), "P")
        mask.putpalette(palette())
        mask.save(voc / "SegmentationClass" / f"{name}.png")
    for name in (*LISTS["train"], *LISTS["val"], *MORE):
        mask = Image.fromarray(augmented_label_of(name))
        mask.save(voc / "SegmentationClassAug" / f"{name}.png")
    return voc


def examples(dataset, split):
    count = dataset.num_images(split)
    return {dataset.image_id(split, i): dataset.example(split, i) for i in range(count)}


def test_label_map_has_the_palette_of_the_kit():
    labels = LabelMap.named("pascal_voc")
    colors = np.reshape(palette(), (256, 3))
    assert labels.labels == tuple(range(21)) and labels.ignore_label == 255
    np.testing.assert_array_equal(labels.colors, colors[:21])
    np.testing.assert_array_equal(labels.void_colors, colors[255:])
    assert labels.names[0] == "background" and labels.names[15] == "person"


@pytest.mark.parametrize("above", [0, 1, 2])
def test_images_and_labels(tree, above):
    place = (tree, *tree.parents)[above]
    dataset = pascal_voc(str(place))
    assert dataset.name == "pascal_voc" and dataset.num_classes == 21
    assert dataset.splits == ("train", "val", "trainval") and dataset.image_size is None
    for split in ("train", "val"):
        found = examples(dataset, split)
        assert sorted(found) == LISTS[split]
        for name, (image, label) in found.items():
            content = (tree / "JPEGImages" / f"{name}.jpg").read_bytes()
            np.testing.assert_array_equal(image, tf.io.decode_jpeg(content))
            np.testing.assert_array_equal(label, label_of(name))
    names = [dataset.image_id("trainval", i) for i in range(dataset.num_images("trainval"))]
    assert sorted(names[:2]) == LISTS["train"] and names[2:] == LISTS["val"]


def test_images_are_evaluated_one_by_one(tree):
    dataset = pascal_voc(str(tree))
    shapes = [x.shape for x, _ in dataset.eval_batches("trainval", 4).as_numpy_iterator()]
    assert sorted(shapes) == [(1, 22, 30, 3), (1, 23, 30, 3), (1, 29, 30, 3)]


@pytest.mark.parametrize("listed", [False, True])
def test_augmented_masks_are_for_training(tree, listed):
    want = [*LISTS["train"], *MORE]
    if listed:
        want.pop()
        (tree / "ImageSets" / "Segmentation" / "trainaug.txt").write_text("\n".join(want))
    dataset = pascal_voc(str(tree), augmented=True)
    train, val = examples(dataset, "train"), examples(dataset, "val")
    assert sorted(train) == want and sorted(val) == LISTS["val"]
    for name, (_, label) in train.items():
        np.testing.assert_array_equal(label, augmented_label_of(name))
    for name, (_, label) in val.items():
        np.testing.assert_array_equal(label, label_of(name))


def test_test_split_has_no_labels(tree):
    (tree / "ImageSets" / "Segmentation" / "test.txt").write_text("\n".join(LISTS["test"]))
    dataset = pascal_voc(str(tree))
    (image, label), *rest = examples(dataset, "test").values()
    assert not rest and image.shape == (26, 30, 3)
    assert label.shape == (26, 30) and (label == 255).all()


# What can be wrong. Each fault returns the file or folder that must be named.


def missing(path):
    def fault(tree):
        (tree / path).unlink()
        return tree / path

    return fault


def no_images(tree):
    for path in (tree / "JPEGImages").iterdir():
        path.unlink()
    (tree / "JPEGImages").rmdir()
    return tree


def no_labels(tree):
    (tree / "SegmentationClass").rename(tree / "SegmentationObject")
    return tree / "SegmentationClass"


def empty_list(tree):
    path = tree / "ImageSets" / "Segmentation" / "val.txt"
    path.write_text("\n")
    return path


def twice(tree):
    path = tree / "ImageSets" / "Segmentation" / "val.txt"
    path.write_text("2007_000033\n2007_000033\n")
    return tree


def objects_for_classes(tree):
    path = tree / "SegmentationClass" / "2007_000033.png"
    mask = Image.fromarray(np.full((23, 30), 40, np.uint8), "P")
    mask.putpalette(palette())
    mask.save(path)
    return path


FAULTS = {
    "missing image": missing("JPEGImages/2007_000033.jpg"),
    "missing label": missing("SegmentationClass/2007_000033.png"),
    "missing list": missing("ImageSets/Segmentation/val.txt"),
    "no images": no_images,
    "no labels": no_labels,
    "empty list": empty_list,
    "a name twice": twice,
    "label 40": objects_for_classes,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_fault_is_named(tree, fault):
    wrong = fault(tree)
    with pytest.raises(DataError) as error:
        pascal_voc(str(tree))
    first = str(error.value).splitlines()[0]
    assert first.startswith(f"{wrong}: ")
    assert first in list(problems("pascal_voc", str(tree)))


def test_suffixes_may_be_in_capitals(tree):
    for path in [*(tree / "JPEGImages").iterdir(), *(tree / "SegmentationClassAug").iterdir()]:
        path.rename(path.with_suffix(path.suffix.upper()))
    found = examples(pascal_voc(str(tree), augmented=True), "train")
    assert sorted(found) == [*LISTS["train"], *MORE]
