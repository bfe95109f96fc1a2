"""Cityscapes in each form that users have it in, made on the spot in the published layouts."""

import shutil
import zipfile

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from checks import problems
from data import check
from data.cityscapes import cityscapes
from data.errors import DataError
from data.label_map import LabelMap
from data.pipeline import Augment

CITIES = {"train": "aachen", "val": "frankfurt", "test": "berlin", "train_extra": "bayreuth"}
COUNTS = {"train": 5, "val": 4, "test": 3, "train_extra": 3}
SIZE = (32, 64)
LOOKUP = LabelMap.named("cityscapes").lookup()


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def frame(split, index, size=SIZE):
    """RGB image and label ids of a frame, in blocks of an eighth of its height."""
    rng = np.random.default_rng([len(split), index])
    side = size[0] // 8
    blocks = np.ones((side, side), np.uint8)
    image = np.stack([np.kron(rng.integers(0, 256, (8, 16)), blocks) for _ in range(3)], -1)
    label = np.kron(rng.integers(0, 34, (8, 16)), blocks)
    return image.astype(np.uint8), label.astype(np.uint8)


def name_of(split, index):
    return f"{CITIES[split]}_{index:06}_000019"


def files(split, size=SIZE, train_ids=False):
    """The published files of a split by path; of the labels, those that are read or look alike."""
    found, kind = {}, "gtCoarse" if split == "train_extra" else "gtFine"
    for index in range(COUNTS[split]):
        image, label = frame(split, index, size)
        stem = f"{split}/{CITIES[split]}/{name_of(split, index)}"
        found[f"leftImg8bit/{stem}_leftImg8bit.png"] = png(image[..., ::-1])
        found[f"{kind}/{stem}_{kind}_instanceIds.png"] = png(label.astype(np.uint16) * 1000)
        found[f"{kind}/{stem}_{kind}_color.png"] = png(image)
        found[f"{kind}/{stem}_{kind}_polygons.json"] = b"{}"
        if train_ids:
            found[f"{kind}/{stem}_{kind}_labelTrainIds.png"] = png(LOOKUP[label])
        else:
            found[f"{kind}/{stem}_{kind}_labelIds.png"] = png(label)
    return found


def write_tree(root, splits=("train", "val", "test"), **kwargs):
    for split in splits:
        for path, content in files(split, **kwargs).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
    return root


def write_zips(root, splits=("train", "val", "test"), end="trainvaltest.zip", **kwargs):
    fine = "gtCoarse.zip" if end == "trainextra.zip" else f"gtFine_{end}"
    images = zipfile.ZipFile(root / f"leftImg8bit_{end}", "w")
    labels = zipfile.ZipFile(root / fine, "w")
    with images, labels:
        for split in splits:
            for path, content in files(split, **kwargs).items():
                (images if path.startswith("left") else labels).writestr(path, content)
        for archive in (images, labels):
            archive.writestr("license.txt", "")
    return root


def record(image, label, name):
    features = {"image/encoded": image, "image/segmentation/class/encoded": label}
    if name:
        features["image/filename"] = name.encode()
    features = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in features.items()
        if value is not None
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_records(root, splits=("train", "val", "test"), ending="{:05}-of-00002.tfrecord"):
    """Records with train ids in two shards a split; those of test have no labels."""
    for split in splits:
        part = {"train_extra": "train_extra"}.get(split, f"{split}_fine")
        for shard in range(2):
            path = str(root / f"{part}-{ending.format(shard)}")
            with tf.io.TFRecordWriter(path) as writer:
                for index in range(shard, COUNTS[split], 2):
                    image, label = frame(split, index)
                    label = None if split == "test" else png(LOOKUP[label])
                    writer.write(record(png(image[..., ::-1]), label, name_of(split, index)))
    return root


def examples(dataset, split):
    """Names, images and labels of a split in its order."""
    names = [dataset.image_id(split, i) for i in range(dataset.num_images(split))]
    batches = list(dataset.eval_batches(split, 2).as_numpy_iterator())
    images, labels = (np.concatenate(x) for x in zip(*batches, strict=True))
    return names, images, labels


def load(root, **kwargs):
    return cityscapes(str(root), Augment(SIZE, scale=(1.0, 1.0), flip=False), **kwargs)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def dataset(tree):
    return load(tree)


def test_images_and_train_ids(dataset):
    assert dataset.name == "cityscapes"
    assert dataset.splits == ("train", "val", "test")
    assert dataset.num_classes == 19 and dataset.image_size == SIZE
    for split in dataset.splits:
        names, images, labels = examples(dataset, split)
        assert sorted(names) == [name_of(split, i) for i in range(COUNTS[split])]
        for name, image, label in zip(names, images, labels, strict=True):
            want, ids = frame(split, int(name.split("_")[1]))
            np.testing.assert_array_equal(image, want)
            np.testing.assert_array_equal(label, LOOKUP[ids])


def train_id_tree(root):
    return write_tree(root, train_ids=True)


def mixed_tree(root):
    """The unpacked images beside the zip of the labels."""
    write_tree(write_zips(root), splits=("train", "val", "test"))
    (root / "leftImg8bit_trainvaltest.zip").unlink()
    shutil.rmtree(root / "gtFine")
    return root


def bare_records(root):
    return write_records(root, ending="{:05}-of-00002")


@pytest.mark.parametrize(
    "route", [write_zips, train_id_tree, mixed_tree, write_records, bare_records]
)
def test_every_route_gives_the_same_batches_in_the_same_order(dataset, tmp_path, route):
    other = load(route(tmp_path))
    assert other.splits == dataset.splits
    for split in ("train", "val"):
        ours, theirs = examples(dataset, split), examples(other, split)
        assert ours[0] == theirs[0]
        np.testing.assert_array_equal(ours[1], theirs[1])
        np.testing.assert_array_equal(ours[2], theirs[2])
    ours, theirs = examples(dataset, "test"), examples(other, "test")
    assert ours[0] == theirs[0]
    np.testing.assert_array_equal(ours[1], theirs[1])
    batches = [next(d.train_batches(4, seed=3).as_numpy_iterator()) for d in (dataset, other)]
    np.testing.assert_array_equal(batches[0][0], batches[1][0])
    np.testing.assert_array_equal(batches[0][1], batches[1][1])


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """Zips of full size, and what TFDS's own builder makes of them."""
    zips = write_zips(tmp_path_factory.mktemp("zips"), size=(1024, 2048))
    folder = tmp_path_factory.mktemp("tfds")
    builder = tfds.builder(
        "cityscapes/semantic_segmentation", data_dir=folder, file_format="array_record"
    )
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(zips)))
    return zips, folder, builder


def test_order_and_pixels_are_those_of_tfds(big):
    zips, _, builder = big
    dataset = load(zips)
    for split, theirs in {"train": "train", "val": "validation", "test": "test"}.items():
        source = builder.as_data_source(theirs)
        assert dataset.num_images(split) == len(source) == COUNTS[split]
        for index, example in enumerate(source):
            assert dataset.image_id(split, index) == example["image_id"].decode()
            image, label = dataset.example(split, index)
            np.testing.assert_array_equal(image, example["image_left"])
            np.testing.assert_array_equal(label, LOOKUP[example["segmentation_label"][..., 0]])


def test_what_tfds_prepared_is_taken_as_it_is(big, tmp_path, monkeypatch):
    zips, folder, _ = big
    want = examples(load(zips), "val")
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    for place in (folder, tmp_path):
        names, images, labels = examples(load(place), "val")
        assert names == want[0]
        np.testing.assert_array_equal(images, want[1])
        np.testing.assert_array_equal(labels, want[2])


def test_what_tfds_prepared_is_counted_once(big, tmp_path, monkeypatch, capsys):
    zips, folder, _ = big
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    want, dataset = load(zips), load(folder)
    capsys.readouterr()
    for split in ("train", "val"):
        found = dataset.surveyed(split)
        np.testing.assert_array_equal(found.labels, want.counts(split).labels)
        assert found.sizes == want.counts(split).sizes
    assert capsys.readouterr().err.count("counting the labels of") == 2
    load(folder).check_labels("train")
    assert "counting" not in capsys.readouterr().err
    assert check.survey_of(dataset).images == {s: COUNTS[s] for s in ("train", "val", "test")}


def test_what_tfds_prepared_without_random_access_is_refused(big, tmp_path):
    shutil.copytree(big[1], tmp_path / "copy")
    (info,) = (tmp_path / "copy").rglob("dataset_info.json")
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(DataError, match="prepared as tfrecord, which has no random access"):
        load(tmp_path / "copy")


@pytest.mark.parametrize("split", ["val", "test"])
def test_test_labels_may_lack_and_others_may_not(tmp_path, split):
    write_tree(tmp_path, splits=("train", "val", "test"))
    shutil.rmtree(tmp_path / "gtFine" / split)
    if split == "test":
        labels = examples(load(tmp_path), "test")[2]
        assert set(np.unique(labels)) == {255}
        return
    with pytest.raises(DataError, match=r"gtFine/val/frankfurt/frankfurt_000000_000019_gtFine_lab"):
        load(tmp_path)


def test_images_alone_serve_prediction(tmp_path):
    write_tree(tmp_path, splits=("test",))
    shutil.rmtree(tmp_path / "gtFine")
    assert load(tmp_path).splits == ("test",)


def coarse_tree(root):
    return write_tree(root, splits=CITIES)


def coarse_zips(root):
    return write_zips(write_zips(root), ("train_extra",), "trainextra.zip")


def coarse_records(root):
    return write_records(root, CITIES)


def test_coarse_annotations_are_added_to_training_when_asked_for(dataset, tmp_path):
    found = []
    for route in (coarse_tree, coarse_zips, coarse_records):
        (tmp_path / route.__name__).mkdir()
        root = route(tmp_path / route.__name__)
        assert load(root).num_images("train") == COUNTS["train"]
        with_coarse = load(root, coarse=True)
        assert with_coarse.splits == ("train", "val", "test")
        found.append(examples(with_coarse, "train"))
    fine = examples(dataset, "train")
    for names, images, labels in found:
        assert names[: COUNTS["train"]] == fine[0]
        assert sorted(names[COUNTS["train"] :]) == [name_of("train_extra", i) for i in range(3)]
        assert names == found[0][0]
        np.testing.assert_array_equal(images, found[0][1])
        np.testing.assert_array_equal(labels, found[0][2])
    index = int(found[0][0][-1].split("_")[1])
    np.testing.assert_array_equal(found[0][2][-1], LOOKUP[frame("train_extra", index)[1]])


def test_coarse_annotations_that_lack_are_told(tree):
    with pytest.raises(DataError, match=r"no coarse annotations.*gtCoarse\.zip"):
        load(tree, coarse=True)


def test_records_without_names_are_read(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "val.tfrecord")) as writer:
        for index in range(2):
            image, label = frame("val", index)
            writer.write(record(png(image[..., ::-1]), png(LOOKUP[label]), None))
    dataset = load(tmp_path)
    assert {dataset.image_id("val", i) for i in range(2)} == {
        "val.tfrecord_000000",
        "val.tfrecord_000001",
    }


# What can be wrong. Each fault returns what the first line of the error must begin with.

IMAGE = "leftImg8bit/val/frankfurt/frankfurt_000001_000019_leftImg8bit.png"
LABEL = "gtFine/val/frankfurt/frankfurt_000001_000019_gtFine_labelIds.png"


def truncated(root):
    write_tree(root)
    (root / IMAGE).write_bytes((root / IMAGE).read_bytes()[:-20])
    return root / IMAGE


def flipped_bit(root):
    write_tree(root)
    content = bytearray((root / IMAGE).read_bytes())
    content[len(content) // 2] ^= 1
    (root / IMAGE).write_bytes(content)
    return root / IMAGE


def of_another_size(root):
    write_tree(root)
    (root / LABEL).write_bytes(png(np.zeros((8, 8), np.uint8)))
    return root / LABEL


def unknown_label(root):
    write_tree(root)
    (root / LABEL).write_bytes(png(np.full(SIZE, 200, np.uint8)))
    return root / LABEL


def wide_label(root):
    write_tree(root)
    (root / LABEL).write_bytes(png(np.full(SIZE, 7, np.uint16)))
    return root / LABEL


def missing_label(root):
    write_tree(root)
    (root / LABEL).unlink()
    return root / LABEL


def no_labels(root):
    shutil.rmtree(write_tree(root) / "gtFine")
    return root / "gtFine_trainvaltest.zip"


def empty_split(root):
    shutil.rmtree(write_tree(root) / "leftImg8bit" / "val" / "frankfurt")
    return root / "leftImg8bit" / "val"


def missing_zip(root):
    (write_zips(root) / "leftImg8bit_trainvaltest.zip").unlink()
    return root / "leftImg8bit_trainvaltest.zip"


def wrong_zip(root):
    write_zips(root)
    shutil.copy(root / "leftImg8bit_trainvaltest.zip", root / "gtFine_trainvaltest.zip")
    return root / "gtFine_trainvaltest.zip"


def truncated_zip(root):
    path = write_zips(root) / "gtFine_trainvaltest.zip"
    path.write_bytes(path.read_bytes()[:-200])
    return path


def damaged_member(root):
    path = write_zips(root) / "leftImg8bit_trainvaltest.zip"
    content = bytearray(path.read_bytes())
    at = content.find(b"\x89PNG", content.find(IMAGE.encode()))
    content[at + 60] ^= 255
    path.write_bytes(content)
    return f"{path}/{IMAGE}"


def truncated_record(root):
    path = write_records(root) / "val_fine-00001-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:-30])
    return path


def label_ids_in_records(root):
    path = root / "val.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        image, label = frame("val", 0)
        writer.write(record(png(image), png(label), name_of("val", 0)))
    return f"{path}, record 0 ({name_of('val', 0)})"


def record_without_label(root):
    path = root / "val.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record(png(frame("val", 0)[0]), None, name_of("val", 0)))
    return f"{path}, record 0 ({name_of('val', 0)})"


def other_records(root):
    path = root / "val.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record(None, png(frame("val", 0)[1]), None))
    return f"{path}, record 0"


def nothing(root):
    return root


FAULTS = [
    *(truncated, flipped_bit, of_another_size, unknown_label, wide_label, missing_label),
    *(no_labels, empty_split, missing_zip, wrong_zip, truncated_zip, damaged_member),
    *(truncated_record, label_ids_in_records, record_without_label, other_records, nothing),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named(tmp_path, fault):
    wrong = fault(tmp_path)
    with pytest.raises(DataError) as error:
        load(tmp_path)
    first = str(error.value).splitlines()[0]
    assert first.startswith(f"{wrong}: ")
    assert first in list(problems("cityscapes", str(tmp_path)))


def test_every_problem_is_found_without_raising(tmp_path):
    write_tree(tmp_path)
    files = [truncated(tmp_path)]
    (tmp_path / LABEL).write_bytes(png(np.full(SIZE, 200, np.uint8)))
    files.append(tmp_path / LABEL)
    for split in ("train", "val"):
        files.append(
            tmp_path / f"gtFine/{split}/{CITIES[split]}/{name_of(split, 0)}_gtFine_labelIds.png"
        )
        files[-1].unlink()
    found = [line.partition(": ")[0] for line in problems("cityscapes", str(tmp_path))]
    assert sorted(found) == sorted(map(str, files))


def test_every_broken_record_file_is_found(tmp_path):
    write_records(tmp_path)
    for shard in range(2):
        path = tmp_path / f"train_fine-{shard:05}-of-00002.tfrecord"
        path.write_bytes(path.read_bytes()[:-30])
    assert len(list(problems("cityscapes", str(tmp_path)))) == 2


def test_zips_beside_a_tree_of_other_splits_are_read(dataset, tmp_path):
    """One zip of images unpacked, the other not."""
    write_tree(tmp_path, ("train_extra",))
    write_zips(tmp_path)
    assert load(tmp_path).num_images("train") == COUNTS["train"]
    both = load(tmp_path, coarse=True)
    assert both.num_images("train") == COUNTS["train"] + COUNTS["train_extra"]
    names, images, labels = examples(load(tmp_path), "val")
    expected = examples(dataset, "val")
    assert names == expected[0]
    np.testing.assert_array_equal(images, expected[1])
    np.testing.assert_array_equal(labels, expected[2])


def test_a_broken_zip_is_no_hindrance_to_who_has_unpacked_it(tmp_path):
    write_tree(tmp_path, ("train", "val"))
    for name in ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"):
        (tmp_path / name).write_bytes(b"half a zip")
    assert load(tmp_path).splits == ("train", "val")
    write_tree(tmp_path / "train alone", ("train",))
    (tmp_path / "train alone" / "gtFine_trainvaltest.zip").write_bytes(b"half a zip")
    with pytest.raises(DataError, match=r"gtFine_trainvaltest\.zip: not a whole zip"):
        load(tmp_path / "train alone")


def test_train_ids_under_the_names_of_label_ids_are_told(tmp_path):
    write_tree(tmp_path)
    for path in (tmp_path / "gtFine").rglob("*_labelIds.png"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        path.write_bytes(png(LOOKUP[label]))
    with pytest.raises(DataError, match=r"label 255 is no class.*are these train ids"):
        load(tmp_path)


def test_train_ids_without_an_ignored_pixel_are_told(tmp_path):
    """Each is also a label id, most of them of no class."""
    write_tree(tmp_path)
    for path in (tmp_path / "gtFine").rglob("*_labelIds.png"):
        height, width = SIZE
        rows = np.repeat(np.arange(19), -(-height // 19))[:height]
        path.write_bytes(png(np.tile(rows[:, np.newaxis], (1, width)).astype(np.uint8)))
    with pytest.raises(DataError, match=r"of the pixels have a class.*class indices \(train ids\)"):
        load(tmp_path).check_labels("train")


def test_splits_without_a_class_are_told_with_what_the_masks_look_like(tmp_path):
    write_tree(tmp_path)
    for path in (tmp_path / "gtFine").rglob("*_labelIds.png"):
        path.write_bytes(png(np.full(SIZE, 2, np.uint8)))
    message = r"train: 0 % of .*hold 2 \(100 %\).*look like class indices \(train ids\)"
    with pytest.raises(DataError, match=message):
        load(tmp_path).check_labels("train")
    assert len(problems("cityscapes", str(tmp_path))) == 2, "train and val, not test"


@pytest.mark.parametrize("name", ["train_val", "trainval", "train-val", "train_extra"])
def test_records_of_other_splits_are_not_trained_on(tmp_path, name):
    write_records(tmp_path)
    shutil.copy(
        tmp_path / "val_fine-00000-of-00002.tfrecord", tmp_path / f"{name}-00000-of-00001.tfrecord"
    )
    assert load(tmp_path).num_images("train") == COUNTS["train"]


def test_suffixes_may_be_in_capitals(dataset, tmp_path):
    write_tree(tmp_path)
    for path in list(tmp_path.rglob("*.png")):
        path.rename(path.with_suffix(".PNG"))
    assert examples(load(tmp_path), "val")[0] == examples(dataset, "val")[0]
