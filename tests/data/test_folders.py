"""Own images and masks in folders: every form of mask, both layouts, and what can be wrong."""

import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image

from checks import problems
from data import check
from data.errors import DataError
from data.folders import folders
from data.pipeline import Augment

SIZE = (12, 16)
COLORS = {3: (10, 20, 30), 7: (200, 0, 0), 9: (0, 0, 200)}
VOID, VOID_COLOR = 1, (255, 255, 255)
CLASSES = [{"name": f"c{label}", "color": color, "label": label} for label, color in COLORS.items()]
INDEX = {3: 0, 7: 1, 9: 2, VOID: 255}


@pytest.fixture
def label_map(tmp_path):
    file = tmp_path / "labels.json"
    table = {"classes": CLASSES, "void_labels": [VOID], "void_colors": [VOID_COLOR]}
    file.write_text(json.dumps(table))
    return str(file)


def mask_of(index):
    return np.random.default_rng(index).choice([3, 7, 9, VOID], SIZE).astype(np.uint8)


def index_mask(labels):
    return Image.fromarray(labels)


def palette_mask(labels):
    """Indices are labels; the colours are those of the label map where it has one."""
    image = Image.fromarray(labels, "P")
    colors = np.random.default_rng(0).integers(0, 256, (256, 3))
    for label, color in (COLORS | {VOID: VOID_COLOR}).items():
        colors[label] = color
    image.putpalette(colors.reshape(-1).tolist())
    return image


def other_palette_mask(labels):
    """A palette that has nothing to do with the label map's colours: a ramp of greys."""
    image = Image.fromarray(labels, "P")
    image.putpalette(np.repeat(np.arange(256), 3).tolist())
    return image


def rgb_mask(labels):
    pixels = np.zeros((*labels.shape, 3), np.uint8)
    for label, color in (COLORS | {VOID: VOID_COLOR}).items():
        pixels[labels == label] = color
    return Image.fromarray(pixels)


def rgba_mask(labels):
    image = rgb_mask(labels)
    image.putalpha(255)
    return image


MASKS = [index_mask, palette_mask, other_palette_mask, rgb_mask, rgba_mask]


def image_of(index):
    pixels = np.random.default_rng(100 + index).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    return Image.fromarray(pixels)


def by_folder(root, mask=index_mask, ending="png"):
    """Three training and two validation examples; returns where images and masks of val are."""
    for split, indices in {"train": (0, 1, 2), "val": (3, 4)}.items():
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for index in indices:
            image_of(index).save(root / split / f"x{index}.{ending}")
            mask(mask_of(index)).save(root / f"{split}annot" / f"x{index}.png")
    return root / "val", root / "valannot"


def by_list(root, mask=index_mask, ending="png"):
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index in range(6):  # The last is in no list.
        image_of(index).save(root / "images" / f"x{index}.{ending}")
        mask(mask_of(index)).save(root / "masks" / f"x{index}.png")
    (root / "train.txt").write_text("x0\nx1.png\n\nx2\n")
    (root / "val.txt").write_text("x3\nx4\n")
    return root / "images", root / "masks"


def examples(dataset, split):
    count = dataset.num_images(split)
    return {dataset.image_id(split, i): dataset.example(split, i) for i in range(count)}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("write", "ending"), [(by_folder, "png"), (by_list, "jpg")])
def test_every_form_gives_the_same_labels(tmp_path, label_map, mask, write, ending):
    root = tmp_path / "own"
    images, _ = write(root, mask, ending)
    dataset = folders(str(root), label_map)
    assert dataset.splits == ("train", "val") and dataset.image_size == SIZE
    assert dataset.class_names == ("c3", "c7", "c9") and dataset.colors == tuple(COLORS.values())
    assert sorted(examples(dataset, "train")) == ["x0", "x1", "x2"]
    found = examples(dataset, "val")
    assert sorted(found) == ["x3", "x4"]
    for name, (image, label) in found.items():
        content = (images / f"{name}.{ending}").read_bytes()
        np.testing.assert_array_equal(image, tf.io.decode_image(content))
        np.testing.assert_array_equal(label, np.vectorize(INDEX.get)(mask_of(int(name[1]))))


def test_both_layouts_give_the_same_batches(tmp_path, label_map):
    augment = Augment(SIZE, scale=(1.0, 1.0))
    batches, fingerprints = [], set()
    for write in (by_folder, by_list):
        write(tmp_path / write.__name__)
        dataset = folders(str(tmp_path / write.__name__), label_map, augment)
        batches.append(next(dataset.train_batches(3, 0).as_numpy_iterator()))
        fingerprints.add(dataset.fingerprint("train"))
    np.testing.assert_array_equal(batches[0][0], batches[1][0])
    np.testing.assert_array_equal(batches[0][1], batches[1][1])
    assert len(fingerprints) == 1


def test_records_are_read_again_as_they_were_written(tmp_path, label_map, monkeypatch):
    images, masks = by_folder(tmp_path / "own")
    first = folders(str(tmp_path / "own"), label_map)
    monkeypatch.setattr("data.reading.read_pair", None)
    second = folders(str(tmp_path / "own"), label_map)
    assert first.image_size == second.image_size == SIZE
    np.testing.assert_array_equal(first.example("val", 1)[0], second.example("val", 1)[0])
    monkeypatch.undo()
    image_of(3).resize((8, 8)).save(images / "x3.png")
    Image.fromarray(np.full((8, 8), 3, np.uint8)).save(masks / "x3.png")
    for _ in range(2):
        assert folders(str(tmp_path / "own"), label_map).image_size is None


def test_white_and_black_masks_with_void_colours(tmp_path):
    """255 may be a class; then what is void needs another value in the records."""
    file = tmp_path / "labels.json"
    classes = [
        {"name": "no", "color": [0, 0, 0], "label": 0},
        {"name": "yes", "color": [255, 255, 255], "label": 255},
    ]
    file.write_text(json.dumps({"classes": classes, "void_colors": [[255, 0, 0]]}))
    _, masks = by_folder(tmp_path / "own", lambda _: index_mask(np.zeros(SIZE, np.uint8)))
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[0], pixels[1] = (255, 255, 255), (255, 0, 0)
    Image.fromarray(pixels).save(masks / "x3.png")
    index_mask(np.full(SIZE, 255, np.uint8)).save(masks / "x4.png")
    found = examples(folders(str(tmp_path / "own"), str(file)), "val")
    assert found["x3"][1][:3, 0].tolist() == [1, 255, 0]
    assert (found["x4"][1] == 1).all()


def test_names_in_lists_may_hold_folders(tmp_path, label_map):
    root = tmp_path / "own"
    by_list(root)
    for folder in ("images", "masks"):
        (root / folder / "sub").mkdir()
        (root / folder / "x5.png").rename(root / folder / "sub" / "x5.png")
    (root / "val.txt").write_text("sub/x5.png\n")
    assert list(examples(folders(str(root), label_map), "val")) == ["sub/x5"]


def test_lists_may_have_windows_separators(tmp_path, label_map):
    images, masks = by_list(tmp_path)
    for folder in (images, masks):
        (folder / "city").mkdir()
        (folder / "x3.png").rename(folder / "city" / "x3.png")
    (tmp_path / "val.txt").write_bytes(b"city\\x3.png\r\nx4\r\n")
    assert set(examples(folders(str(tmp_path), label_map), "val")) == {"city/x3", "x4"}


def test_lists_may_begin_with_a_byte_order_mark(tmp_path, label_map):
    root = tmp_path / "own"
    by_list(root)
    (root / "val.txt").write_text("x3\nx4\n", encoding="utf-8-sig")
    assert sorted(examples(folders(str(root), label_map), "val")) == ["x3", "x4"]


# What can be wrong with a mask or an image. Each fault returns what must be told.


def unknown_color(images, masks):
    pixels = np.array(rgb_mask(mask_of(3)))
    pixels[2, 3] = (1, 2, 3)
    Image.fromarray(pixels).save(masks / "x3.png")
    return masks / "x3.png", r"colour \(1, 2, 3\) is no class"


def many_colors(images, masks):
    image_of(3).save(masks / "x3.png")
    return masks / "x3.png", r"and \d+ more are no classes"


def palette_of_colors(images, masks):
    """Numbered by the order of colours, as programs that shrink PNGs do."""
    image = Image.fromarray(np.where(mask_of(3) == 3, 7, 3).astype(np.uint8), "P")
    colors = np.zeros((256, 3), int)
    colors[7], colors[3] = COLORS[3], COLORS[7]
    image.putpalette(colors.reshape(-1).tolist())
    image.save(masks / "x3.png")
    return masks / "x3.png", r"palette index 3 has the colour \(200, 0, 0\) of another class"


def label_200(images, masks):
    Image.fromarray(np.full(SIZE, 200, np.uint8)).save(masks / "x3.png")
    return (
        masks / "x3.png",
        r"label 200 is no class; known are 3, 7, 9, void 1; 100 % of the pixels; add each",
    )


def wide(images, masks):
    Image.fromarray(mask_of(3).astype(np.uint16)).save(masks / "x3.png")
    return masks / "x3.png", "16 bits"


def one_bit(images, masks):
    Image.fromarray(mask_of(3) > 5).save(masks / "x3.png")
    return masks / "x3.png", "1 bits"


def translucent(images, masks):
    image = rgb_mask(mask_of(3))
    image.putalpha(100)
    image.save(masks / "x3.png")
    return masks / "x3.png", "RGBA"


def jpeg_mask(images, masks):
    rgb_mask(mask_of(3)).save(masks / "x3.png", format="JPEG")
    return masks / "x3.png", "not a whole PNG image"


def other_size(images, masks):
    index_mask(mask_of(3)[:-1]).save(masks / "x3.png")
    return masks / "x3.png", "16x11 pixels, but its image has 16x12"


def missing_mask(images, masks):
    (masks / "x3.png").unlink()
    return masks / "x3.png", "missing; it is the mask of"


def grey_with_alpha(images, masks):
    image = Image.fromarray(mask_of(3)).convert("LA")
    image.save(images / "x3.png")
    return images / "x3.png", r"not an 8-bit RGB or grey image but a grey one with an alpha"


def rgba_image(images, masks):
    image_of(3).convert("RGBA").save(images / "x3.png")
    return images / "x3.png", r"not an 8-bit RGB .*but one with an alpha channel \(RGBA\)"


def cmyk_image(images, masks):
    (images / "x3.png").unlink()
    image_of(3).convert("CMYK").save(images / "x3.jpg")
    return images / "x3.jpg", r"but one in printing colours \(CMYK\)"


def deep_image(images, masks):
    Image.fromarray(mask_of(3).astype(np.uint16)).save(images / "x3.png")
    return images / "x3.png", "but one of 16 bits"


def jpeg_beside_the_others(images, masks):
    (masks / "x3.png").unlink()
    index_mask(mask_of(3)).save(masks / "x3.jpg")
    return masks / "x3.jpg", "but a JPEG, whose compression changes labels; masks must be PNG"


def tiff(images, masks):
    image_of(3).save(images / "x3.png", format="TIFF")
    return images / "x3.png", "not a whole PNG or JPEG image but a TIFF; save it as PNG or JPEG"


def web_page(images, masks):
    (images / "x3.png").write_text("<!DOCTYPE html><html></html>")
    return images / "x3.png", r"but a web page \(HTML\): the download failed"


def truncated_jpeg(images, masks):
    (images / "x3.png").unlink()
    image_of(3).resize((160, 120)).save(images / "x3.jpg")
    content = (images / "x3.jpg").read_bytes()
    (images / "x3.jpg").write_bytes(content[: len(content) * 3 // 4])
    return images / "x3.jpg", "not a whole PNG or JPEG image"


def gif(images, masks):
    image_of(3).save(images / "x3.png", format="GIF")
    return images / "x3.png", "not a whole PNG or JPEG image"


def two_images(images, masks):
    image_of(3).save(images / "x3.jpg")
    return images.parent, "2 images of val are called x3"


FAULTS = [
    *(unknown_color, many_colors, palette_of_colors, label_200, wide, one_bit, translucent),
    *(jpeg_mask, other_size, missing_mask, truncated_jpeg, gif, two_images, grey_with_alpha),
    *(rgba_image, cmyk_image, deep_image, jpeg_beside_the_others, tiff, web_page),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named(tmp_path, label_map, fault):
    root = tmp_path / "own"
    wrong, what = fault(*by_folder(root))
    with pytest.raises(DataError, match=what) as error:
        folders(str(root), label_map)
    first = str(error.value).splitlines()[0]
    assert first.startswith(f"{wrong}: ")
    assert first in list(problems("folders", str(root), label_map=label_map))


# What can be wrong with lists.


def unlisted(root):
    (root / "val.txt").write_text("x3\nx9\n")
    return root / "images" / "x9"


def two_columns(root):
    (root / "train.txt").write_text("x0.png x0.png\n")
    return root / "images" / "x0.png x0.png"


def empty_list(root):
    (root / "val.txt").write_text("\n")
    return root / "val.txt"


def named_twice(root):
    (root / "val.txt").write_text("x3\nx3.png\n")
    return root


def no_masks(root):
    (root / "masks").rename(root / "labels")
    return root / "masks"


def other_encoding(root):
    (root / "val.txt").write_bytes("x3\nStraße\n".encode("latin-1"))
    return root / "val.txt"


def no_lists(root):
    for split in ("train", "val"):
        (root / f"{split}.txt").unlink()
    return root


@pytest.mark.parametrize(
    "fault", [unlisted, two_columns, empty_list, named_twice, no_masks, no_lists, other_encoding]
)
def test_fault_in_lists_is_named(tmp_path, label_map, fault):
    root = tmp_path / "own"
    by_list(root)
    wrong = fault(root)
    with pytest.raises(DataError) as error:
        folders(str(root), label_map)
    assert str(error.value).splitlines()[0].startswith(f"{wrong}: ")


# Everything at once.


def test_all_problems_are_yielded_one_line_each(tmp_path, label_map):
    root = tmp_path / "own"
    images, masks = by_folder(root)
    wrong = [rgba_image(images, masks)[0], label_200(images, masks)[0]]
    (masks / "x4.png").write_bytes((masks / "x4.png").read_bytes()[:40])
    (images / "x4.png").write_bytes(b"")
    (root / "trainannot" / "x1.png").unlink()
    wrong += [masks / "x4.png", images / "x4.png", root / "trainannot" / "x1.png"]
    found = list(problems("folders", str(root), label_map=label_map))
    assert sorted(line.partition(": ")[0] for line in found) == sorted(map(str, wrong))
    assert not any("\n" in line for line in found)


def test_a_good_set_has_no_problems(tmp_path, label_map):
    by_list(tmp_path / "own")
    assert list(problems("folders", str(tmp_path / "own"), label_map=label_map)) == []


def test_only_known_sets_are_checked(tmp_path):
    with pytest.raises(DataError, match=r"imagenet: no data set.*camvid"):
        problems("imagenet", str(tmp_path))


def test_other_lists_of_the_same_files_are_other_splits(tmp_path, label_map):
    by_list(tmp_path)
    assert sorted(examples(folders(str(tmp_path), label_map), "val")) == ["x3", "x4"]
    (tmp_path / "train.txt").write_text("x0\nx1\nx3\n")
    (tmp_path / "val.txt").write_text("x2\nx4\n")
    dataset = folders(str(tmp_path), label_map)
    assert sorted(examples(dataset, "train")) == ["x0", "x1", "x3"]
    assert sorted(examples(dataset, "val")) == ["x2", "x4"]


def test_links_to_folders_are_followed_and_hidden_files_are_none(tmp_path, label_map):
    root, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    by_folder(root)
    for folder in ("train", "trainannot"):
        (elsewhere / folder).mkdir(parents=True)
        (root / folder / "x0.png").rename(elsewhere / folder / "x0.png")
        (root / folder / "sequence").symlink_to(elsewhere / folder)
        (root / folder / "._x1.png").write_bytes(b"macOS")
    (root / "train" / ".thumbnails").mkdir()
    image_of(9).save(root / "train" / ".thumbnails" / "x9.png")
    found = examples(folders(str(root), label_map), "train")
    assert sorted(found) == ["sequence/x0", "x1", "x2"]


def test_suffixes_of_masks_may_be_in_capitals(tmp_path, label_map):
    images, masks = by_folder(tmp_path)
    (images / "x3.png").rename(images / "x3.PNG")
    (masks / "x3.png").rename(masks / "x3.PNG")
    assert sorted(examples(folders(str(tmp_path), label_map), "val")) == ["x3", "x4"]


@pytest.mark.parametrize("orientation", [1, 6])
def test_images_that_their_metadata_turns_are_refused(tmp_path, label_map, orientation):
    """TensorFlow decodes what is stored; who draws masks sees it turned."""
    images, _ = by_folder(tmp_path, ending="jpg")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image_of(3).save(images / "x3.jpg", exif=exif)
    if orientation == 1:
        assert sorted(examples(folders(str(tmp_path), label_map), "val")) == ["x3", "x4"]
        return
    with pytest.raises(DataError, match=r"x3\.jpg: turned or mirrored by its EXIF"):
        folders(str(tmp_path), label_map)


@pytest.mark.parametrize("where", ["class", "void"])
def test_colours_of_two_classes_are_refused_where_colours_count(tmp_path, label_map, where):
    table = json.loads(pathlib.Path(label_map).read_text())
    if where == "class":
        table["classes"][1]["color"] = table["classes"][0]["color"]
    else:
        table["void_colors"] = [table["classes"][0]["color"]]
    pathlib.Path(label_map).write_text(json.dumps(table), encoding="utf-8-sig")
    for mask in (index_mask, palette_mask):
        by_folder(tmp_path / mask.__name__, mask)
        assert len(examples(folders(str(tmp_path / mask.__name__), label_map), "val")) == 2
    by_folder(tmp_path / "rgb", rgb_mask)
    with pytest.raises(DataError, match=r"colour \(10, 20, 30\) stands for two classes"):
        folders(str(tmp_path / "rgb"), label_map)


def test_grey_images_become_rgb(tmp_path, label_map):
    images, _ = by_folder(tmp_path)
    image_of(3).convert("L").save(images / "x3.png")
    image, _ = examples(folders(str(tmp_path), label_map), "val")["x3"]
    assert (image == np.array(image_of(3).convert("L"))[..., np.newaxis]).all()


def test_png_masks_with_another_suffix_serve(tmp_path, label_map):
    _, masks = by_folder(tmp_path)
    (masks / "x3.png").rename(masks / "x3.jpg")
    found = examples(folders(str(tmp_path), label_map), "val")["x3"][1]
    np.testing.assert_array_equal(found, np.vectorize(INDEX.get)(mask_of(3)))


@pytest.mark.parametrize("write", [by_folder, by_list])
def test_a_test_split_needs_no_masks(tmp_path, label_map, write):
    write(tmp_path)
    (tmp_path / "test").mkdir()
    image_of(7).save(tmp_path / "test" / "x7.png")
    if write is by_list:
        image_of(7).save(tmp_path / "images" / "x7.png")
        (tmp_path / "test.txt").write_text("x7")
    dataset = folders(str(tmp_path), label_map)
    assert dataset.splits == ("train", "val", "test")
    assert (dataset.example("test", 0)[1] == 255).all()
    assert list(problems("folders", str(tmp_path), label_map=label_map)) == []


def test_masks_of_test_under_other_names_are_missing(tmp_path, label_map):
    by_folder(tmp_path)
    for folder, name in (("test", "x7"), ("testannot", "x7_mask")):
        (tmp_path / folder).mkdir()
        index_mask(mask_of(7)).save(tmp_path / folder / f"{name}.png")
    with pytest.raises(DataError, match=r"testannot/x7\.png: missing"):
        folders(str(tmp_path), label_map)


@pytest.mark.parametrize("line", ["images/x3.png", "/data/x3.png", "../x3"])
def test_lines_of_a_list_that_are_paths_are_told(tmp_path, label_map, line):
    by_list(tmp_path / "own")
    (tmp_path / "own" / "val.txt").write_text(f"{line}\n")
    with pytest.raises(DataError, match=r"val\.txt names it; names count from images/"):
        folders(str(tmp_path / "own"), label_map)


@pytest.mark.parametrize(
    "names, told",
    [
        (["img_dir", "ann_dir"], "; there are ann_dir, img_dir: rename them, or link to them"),
        (["images", "masks"], "images/ is there: list the names of its images, one a line"),
        ([], r"val\.txt\n"),
    ],
)
def test_folders_of_other_layouts_are_told_with_what_is_missing(tmp_path, label_map, names, told):
    root = tmp_path / "own"
    root.mkdir()
    for name in names:
        (root / name).mkdir()
    with pytest.raises(DataError, match=told):
        folders(str(root), label_map)


def test_only_what_is_declared_is_ignored(tmp_path, label_map):
    _, masks = by_folder(tmp_path / "own")
    labels = mask_of(3)
    labels[:3] = 255
    index_mask(labels).save(masks / "x3.png")
    message = (
        rf"x3\.png: label 255 is no class; .*; 25 % of the pixels; .*void_labels` in {label_map}"
    )
    with pytest.raises(DataError, match=message):
        folders(str(tmp_path / "own"), label_map)
    table = json.loads(pathlib.Path(label_map).read_text())
    pathlib.Path(label_map).write_text(json.dumps({**table, "ignore_label": 255}))
    found = examples(folders(str(tmp_path / "own"), label_map), "val")["x3"][1]
    assert (found[:3] == 255).all()


@pytest.mark.parametrize(
    "labels, values, guess",
    [
        ((0, 1, 2), (1, 2, 3), "if 1 to 3 are the 3 classes in this order, .* list 0 in"),
        ((0, 1, 2), (0, 1, 3), "if 1 to 3 are the 3 classes in this order, .* list 0 in"),
        ((1, 2, 3), (0, 1, 2), "if 0 to 2 are the 3 classes in this order, give them these labels"),
        ((1, 2, 3), (0, 1, 3), None),
        ((0, 1, 2), (1, 2, 4), None),
        ((0, 1, 4), (1, 2, 4), None),
    ],
)
def test_masks_that_count_classes_from_another_number_are_told(tmp_path, labels, values, guess):
    classes = [{"name": f"c{label}", "label": label} for label in labels]
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"classes": classes}))
    _, masks = by_folder(tmp_path / "own")
    for mask in masks.parent.rglob("*annot/*.png"):
        index_mask(np.tile(values, (12, 16))[:, : SIZE[1]].astype(np.uint8)).save(mask)
    with pytest.raises(DataError) as error:
        folders(str(tmp_path / "own"), str(path))
    assert re.search(guess or "void_labels` in [^;]*$", str(error.value))


def test_unknown_values_are_told_once_for_all_masks(tmp_path, label_map):
    _, masks = by_folder(tmp_path)
    index_mask(np.full(SIZE, 200, np.uint8)).save(masks / "x3.png")
    index_mask(np.tile([3, 3, 3, 201], (12, 4)).astype(np.uint8)).save(masks / "x4.png")
    (line,) = problems("folders", str(tmp_path), label_map=label_map)
    assert line.startswith(f"{masks / 'x3.png'} and 1 more: labels 200, 201 are no classes")
    assert "; 50 %, 12.5 % of the pixels; add each to a class's `label`" in line
    # Training tells the same, instead of the first file's values.
    with pytest.raises(DataError) as caught:
        folders(str(tmp_path), label_map)
    assert line == str(caught.value).partition("\n")[0]


def test_labels_saved_in_three_channels_serve(tmp_path, label_map):
    by_folder(tmp_path / "own")
    by_folder(tmp_path / "rgb", lambda labels: index_mask(labels).convert("RGB"))
    found = [examples(folders(str(tmp_path / n), label_map), "train") for n in ("own", "rgb")]
    for name, (_, labels) in found[0].items():
        np.testing.assert_array_equal(labels, found[1][name][1])


def test_masks_with_more_in_their_names_are_told(tmp_path, label_map):
    _, masks = by_folder(tmp_path)
    (masks / "x3.png").rename(masks / "x3_mask.png")
    (line,) = problems("folders", str(tmp_path), label_map=label_map)
    assert line.startswith(f"{masks / 'x3.png'}: missing; it is the mask of ")
    assert line.endswith("is it x3_mask.png? Masks have their images' names: rename them")


def test_another_rule_for_the_names_of_all_masks_is_told_once(tmp_path, label_map):
    by_folder(tmp_path)
    for split in ("train", "val"):
        for mask in [*(tmp_path / f"{split}annot").iterdir()]:
            mask.rename(mask.with_name(f"{mask.stem}_mask.png"))
    layout = check.layout_of("folders", str(tmp_path), {"label_map": label_map})
    for lines in (layout.problems, layout.strays):
        assert len(lines) == 2
        assert re.search(r"\(the same for all \d+ masks of train\)$", lines[0])
    assert "_mask.png? Masks have their images' names: rename them" in layout.problems[0]


def test_one_class_alone_is_refused(tmp_path):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"classes": CLASSES[:1], "void_labels": [7, 9, VOID]}))
    by_folder(tmp_path / "own")
    with pytest.raises(DataError, match=r"only one class, 'c3', .*the background a class"):
        folders(str(tmp_path / "own"), str(file))


def test_a_split_of_void_masks_is_told_with_what_they_hold(tmp_path, label_map):
    by_folder(tmp_path, lambda labels: index_mask(np.full_like(labels, VOID)))
    dataset = folders(str(tmp_path), label_map)
    message = rf"{tmp_path}: train: 0 % of the pixels have a class; the masks hold 1 \(100 %\)"
    with pytest.raises(DataError, match=message):
        dataset.check_labels("train")
    found = problems("folders", str(tmp_path), label_map=label_map)
    assert [line.split(": ")[1] for line in found] == ["train", "val"]


def test_classes_that_the_training_split_lacks_are_told(tmp_path, label_map):
    by_folder(tmp_path, lambda labels: index_mask(np.where(labels == 9, 3, labels)))
    dataset = folders(str(tmp_path), label_map)
    message = f"{tmp_path}: train: no pixel of c9 (label 9), which cannot be learnt"
    assert dataset.check_labels("train") == [message]
    layout = check.layout_of("folders", str(tmp_path), {"label_map": label_map})
    assert f"warning: {message}" in check.table(check.survey(layout))


def test_records_know_a_first_image_of_each_size(tmp_path, label_map):
    images, masks = by_folder(tmp_path)
    image_of(4).resize((9, 7)).save(images / "x4.png")
    Image.fromarray(np.full((7, 9), 3, np.uint8)).save(masks / "x4.png")
    found = folders(str(tmp_path), label_map).first_of_sizes("val")
    assert found == {SIZE: str(images / "x3.png"), (7, 9): str(images / "x4.png")}
