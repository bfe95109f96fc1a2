"""Tests of CamVid: made-on-the-spot folders in its layout, and the real one where it is there."""

import shutil

import cv2
import numpy as np
import pytest

from data.camvid import camvid
from data.errors import DataError
from data.pipeline import Augment

HEIGHT, WIDTH = 32, 48
IGNORE = 255


def write_split(root, split, count=3, size=(HEIGHT, WIDTH)):
    """Writes images of noise and labels 0 to 11, and returns them by name."""
    rng = np.random.default_rng([len(split), count, *size])
    pairs = {}
    for folder in (split, f"{split}annot"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        name = f"{split}_{index:03}"
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        label = rng.integers(0, 12, size, np.uint8)
        cv2.imwrite(str(root / split / f"{name}.png"), image[..., ::-1])
        cv2.imwrite(str(root / f"{split}annot" / f"{name}.png"), label)
        pairs[name] = image, label
    return pairs


def load(root):
    augment = Augment(crop_size=(HEIGHT, WIDTH), scale=(1.0, 1.0), flip=False)
    return camvid(str(root), augment=augment)


def examples(dataset, split):
    """All images and labels of a split by name."""
    count = dataset.num_images(split)
    return {dataset.image_id(split, i): dataset.example(split, i) for i in range(count)}


def indices(label):
    """Class indices of labels in a file: 11 is void."""
    return np.where(label == 11, IGNORE, label)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A folder with train/ and val/, and what is in it."""
    root = tmp_path_factory.mktemp("camvid")
    return root, {"train": write_split(root, "train", 5), "val": write_split(root, "val", 3)}


@pytest.fixture(scope="module")
def dataset(tree):
    return load(tree[0])


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


def test_training_batches_hold_every_image_with_its_label(tree, dataset):
    images, labels = next(dataset.train_batches(5, seed=1).as_numpy_iterator())
    found = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert len(found) == 5
    for image, label in tree[1]["train"].values():
        np.testing.assert_array_equal(found[image.tobytes()], indices(label))


def test_evaluation_batches_are_in_the_order_of_the_examples(tree, dataset):
    batches = list(dataset.eval_batches("val", batch_size=2).as_numpy_iterator())
    assert [len(images) for images, _ in batches] == [2, 1]
    names = [dataset.image_id("val", i) for i in range(3)]
    assert sorted(names) == sorted(tree[1]["val"])
    for name, image in zip(names, np.concatenate([x for x, _ in batches]), strict=True):
        np.testing.assert_array_equal(image, tree[1]["val"][name][0])


def test_test_split_is_there_with_its_folder(tmp_path):
    for split in ("train", "val", "test"):
        written = write_split(tmp_path, split, 2)
    dataset = load(tmp_path)
    assert dataset.splits == ("train", "val", "test")
    assert examples(dataset, "test").keys() == written.keys()


def test_images_of_several_sizes_are_evaluated_one_by_one(tmp_path):
    write_split(tmp_path, "train", 1)
    write_split(tmp_path, "val", 2, size=(20, 30))
    dataset = load(tmp_path)
    assert dataset.image_size is None
    batches = list(dataset.eval_batches("val", batch_size=2).as_numpy_iterator())
    assert [images.shape for images, _ in batches] == [(1, 20, 30, 3)] * 2
    assert next(dataset.train_batches(2, 0).as_numpy_iterator())[0].shape == (2, HEIGHT, WIDTH, 3)


def test_a_changed_file_gives_other_records(tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    file = root / "val" / "val_000.png"
    sizes = set()
    for level in (77, 78):
        image = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
        cv2.imwrite(str(file), image, [cv2.IMWRITE_PNG_COMPRESSION, 0])
        sizes.add(file.stat().st_size)
        np.testing.assert_array_equal(examples(load(root), "val")["val_000"][0], image)
    assert len(sizes) == 1, "the files must differ in nothing but their content"


def test_an_added_image_gives_other_records(tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    assert load(root).num_images("val") == 3
    for folder in ("val", "valannot"):
        shutil.copy(root / folder / "val_000.png", root / folder / "val_999.png")
    assert load(root).num_images("val") == 4


def test_unknown_split_is_named(dataset):
    with pytest.raises(DataError, match=r"no split 'test'.*train, val"):
        dataset.num_images("test")


def test_training_needs_an_augmentation(tree):
    with pytest.raises(DataError, match="augment"):
        camvid(str(tree[0])).train_batches(2, seed=0)


# What can be wrong with a folder. Each fault returns the file or folder that must be named.


def missing_folder(root):
    shutil.rmtree(root)
    return root


def no_splits(root):
    shutil.rmtree(root)
    root.mkdir()
    return root


def missing_labels(root):
    shutil.rmtree(root / "valannot")
    return root / "valannot"


def no_images(root):
    for file in (root / "val").iterdir():
        file.unlink()
    return root / "val"


def missing_label(root):
    file = root / "valannot" / "val_001.png"
    file.unlink()
    return file


def truncated(folder):
    def fault(root):
        file = root / folder / "val_001.png"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        return file

    return fault


def empty(folder):
    def fault(root):
        file = root / folder / "val_001.png"
        file.write_bytes(b"")
        return file

    return fault


def not_an_image(root):
    file = root / "val" / "val_001.png"
    file.write_text("version https://git-lfs.github.com/spec/v1")
    return file


def replaced(folder, pixels):
    def fault(root):
        file = root / folder / "val_001.png"
        cv2.imwrite(str(file), pixels)
        return file

    return fault


FAULTS = {
    "missing folder": missing_folder,
    "folder without splits": no_splits,
    "missing label folder": missing_labels,
    "split without images": no_images,
    "missing label": missing_label,
    "truncated image": truncated("val"),
    "truncated label": truncated("valannot"),
    "empty image": empty("val"),
    "empty label": empty("valannot"),
    "image is text": not_an_image,
    "label of another size": replaced("valannot", np.zeros((HEIGHT, WIDTH + 1), np.uint8)),
    "unknown label 57": replaced("valannot", np.full((HEIGHT, WIDTH), 57, np.uint8)),
    "RGB label": replaced("valannot", np.zeros((HEIGHT, WIDTH, 3), np.uint8)),
    "16-bit label": replaced("valannot", np.zeros((HEIGHT, WIDTH), np.uint16)),
    "grey image": replaced("val", np.zeros((HEIGHT, WIDTH), np.uint8)),
    "16-bit image": replaced("val", np.zeros((HEIGHT, WIDTH, 3), np.uint16)),
    "image with alpha": replaced("val", np.zeros((HEIGHT, WIDTH, 4), np.uint8)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_fault_is_named(tree, tmp_path, fault):
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    wrong = fault(root)
    with pytest.raises(DataError) as error:
        load(root)
    assert error.value.exit_code == 2
    # One line names the file and what is wrong; Gin adds lines of its own below.
    assert str(error.value).splitlines()[0].startswith(f"{wrong}: ")


def test_unknown_label_is_told_with_what_is_known(tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    FAULTS["unknown label 57"](root)
    with pytest.raises(DataError, match=r"label 57 .*0 to 10, void 11"):
        load(root)


def test_a_mended_folder_loads(tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    wrong = FAULTS["truncated image"](root)
    with pytest.raises(DataError):
        load(root)
    shutil.copy(tree[0] / "val" / wrong.name, wrong)
    assert examples(load(root), "val").keys() == tree[1]["val"].keys()


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
