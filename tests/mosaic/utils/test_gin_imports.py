"""What a configuration may import whose user did not name it."""

import importlib.machinery
import importlib.util

import pytest

from mosaic import config
from mosaic.utils.errors import UserError


def _saved(folder, text):
    (folder / "config.gin").write_text(text)
    return config.saved(str(folder / "config.gin"))


@pytest.mark.parametrize(
    "text",
    [
        "import mosaic.models.mosaic\nimport data.camvid\n",
        "from mosaic.models import mosaic\nimport mosaic.training.losses as other\n",
        "import mosaic.losses\n",  # a name of November 2026
        "STEPS = 3\n",
    ],
)
def test_this_projects_modules_may_be_imported(tmp_path, text):
    assert _saved(tmp_path, text) == str(tmp_path / "config.gin")


@pytest.mark.parametrize(
    "text",
    [
        "import os\n",
        "import antigravity as mosaic\n",
        "from os import path\n",
        "from mosaic.utils.archives import shutil\n",
        "import mosaic.nothing_here\n",
        "import mosaicfoo.models\n",
        "import data_of_others\n",
        "STEPS = 3\nimport train\n",
        "from __gin__ import dynamic_registration\nimport mosaic.utils.archives\n",
    ],
)
def test_other_modules_may_not(tmp_path, text):
    with pytest.raises(UserError, match=r"config\.gin: imports .*--allow_code"):
        _saved(tmp_path, text)


def test_what_is_included_counts_too(tmp_path):
    (tmp_path / "inner.gin").write_text("import os\n")
    (tmp_path / "middle.gin").write_text("include 'inner.gin'\n")
    with pytest.raises(UserError, match=r"inner\.gin: imports os,"):
        _saved(tmp_path, "include 'middle.gin'\n")


def test_a_folder_of_the_same_name_first_on_the_path_is_foreign(tmp_path, monkeypatch):
    spec = importlib.machinery.ModuleSpec("data", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match=r"imports data\.camvid"):
        _saved(tmp_path, "import data.camvid\n")


def test_it_may_be_allowed(tmp_path):
    path = tmp_path / "config.gin"
    path.write_text("import os\n")
    assert config.saved(str(path), allow_code=True) == str(path)
