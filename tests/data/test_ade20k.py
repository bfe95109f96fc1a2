"""ADE20K from trees and zips in the published layout, made on the spot."""

import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from checks import problems
from data import check
from data.ade20k import ade20k
from data.errors import DataError
from data.pipeline import Augment

# (height, width) by name; the second image is grey.
SIZES = {
    "training/ADE_train_00000001": (24, 32),
    "training/ADE_train_00000002": (40, 20),
    "training/ADE_train_00000003": (30, 30),
    "validation/ADE_val_00000001": (16, 24),
    "validation/ADE_val_00000002": (30, 20),
}
GREY = ("training/ADE_train_00000002", "validation/ADE_val_00000002")


def label_of(name):
    rng = np.random.default_rng(len(name) + int(name[-1]))
    return rng.integers(0, 151, SIZES[name]).astype(np.uint8)


def write(root):
    """Writes ADEChallengeData2016/ into a folder, and returns that."""
    rng = np.random.default_rng(0)
    for name, size in SIZES.items():
        pixels = rng.integers(0, 256, size if name in GREY else (*size, 3)).astype(np.uint8)
        for kind, ending, content in (
            ("images", "jpg", pixels),
            ("annotations", "png", label_of(name)),
        ):
            path = root / "ADEChallengeData2016" / kind / f"{name}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)
    return root / "ADEChallengeData2016"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write(tmp_path_factory.mktemp("ade")).parent


def examples(dataset, split):
    count = dataset.num_images(split)
    return {dataset.image_id(split, i): dataset.example(split, i) for i in range(count)}


def decoded(tree, name):
    path = tree / "ADEChallengeData2016" / "images" / f"{name}.jpg"
    return tf.io.decode_jpeg(path.read_bytes(), channels=3).numpy()


def test_all_classes(tree):
    dataset = ade20k(str(tree))
    assert dataset.name == "ade20k"
    assert dataset.splits == ("train", "val")
    assert dataset.num_classes == 150
    assert dataset.image_size is None
    assert dataset.class_names[:3] == ("wall", "building", "sky")
    assert dataset.class_names[149] == "flag"
    for split, folder in {"train": "training", "val": "validation"}.items():
        found = examples(dataset, split)
        names = [name for name in SIZES if name.startswith(folder)]
        assert sorted(found) == [name.partition("/")[2] for name in names]
        for name in names:
            image, label = found[name.partition("/")[2]]
            np.testing.assert_array_equal(image, decoded(tree, name))
            raw = label_of(name).astype(int)
            np.testing.assert_array_equal(label, np.where(raw == 0, 255, raw - 1))


def test_grey_images_become_rgb(tree):
    image = examples(ade20k(str(tree)), "val")["ADE_val_00000002"][0]
    assert image.shape == (30, 20, 3)
    assert (image == image[..., :1]).all()
    assert image.std() > 10


def test_top31_leaves_nothing_out(tree):
    dataset = ade20k(str(tree), classes="top31")
    assert dataset.num_classes == 32
    assert dataset.class_names[0] == "other"
    assert dataset.class_names[31] == "armchair"
    for name in SIZES:
        if name.startswith("validation"):
            label = examples(dataset, "val")[name.partition("/")[2]][1]
            raw = label_of(name)
            np.testing.assert_array_equal(label, np.where(raw > 31, 0, raw))


def resized(pixels, size):
    """Bilinear interpolation with corners aligned, in float64."""
    pixels = pixels.astype(np.float64)
    for axis, count in enumerate(size):
        position = np.linspace(0, pixels.shape[axis] - 1, count)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, pixels.shape[axis] - 1)
        share = (position - low).reshape([-1 if i == axis else 1 for i in range(pixels.ndim)])
        pixels = pixels.take(low, axis) * (1 - share) + pixels.take(high, axis) * share
    return pixels


# 16x24 and 30x20, each with the largest of its kind in the frame.
@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((48, 48), [(32, 48), (48, 32)]),
        ((20, 50), [(20, 30), (20, 14)]),
        ((9, 7), [(5, 7), (9, 6)]),
    ],
)
@pytest.mark.parametrize(("classes", "pad"), [("all", 255), ("all_and_other", 0), ("top31", 0)])
def test_evaluation_at_one_size(tree, size, fitted, classes, pad):
    dataset = ade20k(str(tree), classes=classes, size=size)
    plain = examples(ade20k(str(tree), classes=classes), "val")
    assert dataset.image_size == size
    names = [dataset.image_id("val", i) for i in range(2)]
    (images, labels), *rest = dataset.eval_batches("val", 2).as_numpy_iterator()
    assert not rest
    assert images.shape == (2, *size, 3)
    assert labels.shape == (2, *size)
    for name, inner in zip(("ADE_val_00000001", "ADE_val_00000002"), fitted, strict=True):
        image, label = images[names.index(name)], labels[names.index(name)]
        height, width = inner
        want = resized(plain[name][0], inner)
        assert np.abs(image[:height, :width] - (want - 0.5)).max() < 0.51
        rows = [
            np.rint(np.linspace(0, n - 1, m)).astype(int)
            for n, m in zip(plain[name][1].shape, inner)
        ]
        nearest = plain[name][1][np.ix_(*rows)]
        # Halves may go either way.
        assert (label[:height, :width] == nearest).mean() > 0.8
        assert set(np.unique(label[:height, :width])) <= set(np.unique(plain[name][1]))
        assert (image[height:] == 127).all()
        assert (image[:, width:] == 127).all()
        assert (label[height:] == pad).all()
        assert (label[:, width:] == pad).all()


def test_scoring_as_research_deeplab_rounds_no_pixel(tree):
    """Pictures, and what exports are checked on, are bytes."""
    dataset = ade20k(str(tree), classes="all_and_other", size=(49, 49), resize_factor=16)
    (images, _), *_ = dataset.eval_batches("val", 2).as_numpy_iterator()
    assert images.dtype == np.float32
    assert np.any(images != np.rint(images))
    image, _ = dataset.example("val", 0)
    np.testing.assert_array_equal(image, np.uint8(np.rint(images[0])))


def test_training_is_at_the_images_own_size(tree):
    augment = Augment((30, 30), scale=(1.0, 1.0), flip=False)
    images = [
        {
            image.tobytes()
            for image in next(
                ade20k(str(tree), augment, size=size).train_batches(3, 0).as_numpy_iterator()
            )[0]
        }
        for size in (None, (16, 16))
    ]
    assert images[0] == images[1]
    assert decoded(tree, "training/ADE_train_00000003").tobytes() in images[0]


def test_the_zip_and_the_inner_folder_give_the_same(tree, tmp_path):
    with zipfile.ZipFile(tmp_path / "ADEChallengeData2016.zip", "w") as archive:
        for path in sorted(tree.rglob("*.*g")):
            archive.write(path, path.relative_to(tree).as_posix())
    first = ade20k(str(tree))
    for place in (tmp_path, tree / "ADEChallengeData2016"):
        second = ade20k(str(place))
        for split in ("train", "val"):
            ours, theirs = examples(first, split), examples(second, split)
            assert list(ours) == list(theirs)
            for name in ours:
                np.testing.assert_array_equal(ours[name][0], theirs[name][0])
                np.testing.assert_array_equal(ours[name][1], theirs[name][1])


def test_other_classes_are_refused(tree):
    with pytest.raises(DataError, match="'top30': not one of all, all_and_other, top31"):
        ade20k(str(tree), classes="top30")


# What can be wrong. Each fault returns the file or folder that must be named.


def missing_label(root):
    path = write(root) / "annotations" / "validation" / "ADE_val_00000001.png"
    path.unlink()
    return path


def label_200(root):
    path = write(root) / "annotations" / "validation" / "ADE_val_00000001.png"
    Image.fromarray(np.full((16, 24), 200, np.uint8)).save(path)
    return path


def truncated_jpeg(root):
    path = write(root) / "images" / "validation" / "ADE_val_00000001.jpg"
    path.write_bytes(path.read_bytes()[:-100])
    return path


def instance_masks(root):
    path = write(root) / "annotations" / "validation" / "ADE_val_00000001.png"
    Image.fromarray(np.full((16, 24, 3), (12, 1, 0), np.uint8)).save(path)
    return path


def records_of_tfds(root):
    (root / "scene_parse150" / "1.0.0").mkdir(parents=True)
    return root


def nothing(root):
    return root


@pytest.mark.parametrize(
    "fault",
    [missing_label, label_200, truncated_jpeg, instance_masks, records_of_tfds, nothing],
)
def test_fault_is_named(tmp_path, fault):
    wrong = fault(tmp_path)
    with pytest.raises(DataError) as error:
        ade20k(str(tmp_path))
    first = str(error.value).splitlines()[0]
    assert first.startswith(f"{wrong}: ")
    assert first in list(problems("ade20k", str(tmp_path)))


def test_instances_beside_the_right_annotations_are_no_hindrance(tmp_path):
    """As other frameworks' scripts leave them."""
    inner = write(tmp_path)
    (inner / "annotations_instance").mkdir()
    (tmp_path / "annotations_instance").mkdir()
    for root in (inner, tmp_path):
        assert ade20k(str(root)).num_images("train") == 3


def test_the_check_counts_the_classes_of_the_experiment(tree):
    found = check.survey(check.layout_of("ade20k", str(tree), {"classes": "top31"}))
    assert len(found.class_names) == 32
    assert not found.problems
    labels = np.concatenate([label_of(n).ravel() for n in SIZES if n.startswith("training")])
    assert found.pixels["train"][0] == np.sum((labels == 0) | (labels > 31)) > 0
    assert found.pixels["train"][31] == np.sum(labels == 31)
    assert found.ignored["train"] == 0
    with pytest.raises(DataError, match="classes 'top30': not one of all, all_and_other, top31"):
        check.layout_of("ade20k", str(tree), {"classes": "top30"})


def test_suffixes_may_be_in_capitals(tree, tmp_path):
    for path in list(write(tmp_path).rglob("*.*g")):
        path.rename(path.with_suffix(path.suffix.upper()))
    assert list(examples(ade20k(str(tmp_path)), "val")) == list(examples(ade20k(str(tree)), "val"))
