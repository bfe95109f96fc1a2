"""Records of folders: when they are written again."""

import shutil

import cv2
import numpy as np

from camvid_folders import HEIGHT, WIDTH, examples, load


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


def test_a_fingerprint_is_that_of_images_and_classes(tree, tmp_path):
    before = load(tree[0])
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    assert load(root).fingerprint("val") == before.fingerprint("val")
    assert before.fingerprint("val") != before.fingerprint("train")
    file = root / "valannot" / "val_000.png"
    mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    mask[0, 0] = (mask[0, 0] + 1) % 11
    cv2.imwrite(str(file), mask)
    after = load(root)
    assert after.fingerprint("val") != before.fingerprint("val")
    assert after.fingerprint("train") == before.fingerprint("train")


def test_an_added_image_gives_other_records(tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tree[0], root)
    assert load(root).num_images("val") == 3
    for folder in ("val", "valannot"):
        shutil.copy(root / folder / "val_000.png", root / folder / "val_999.png")
    assert load(root).num_images("val") == 4
