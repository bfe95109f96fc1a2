"""A folder in CamVid's layout and its data set; read only."""

import pytest

from camvid_folders import load, write_split


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """A folder with train/ and val/, and what is in it."""
    root = tmp_path_factory.mktemp("camvid")
    return root, {"train": write_split(root, "train", 5), "val": write_split(root, "val", 3)}


@pytest.fixture(scope="session")
def dataset(tree):
    return load(tree[0])
