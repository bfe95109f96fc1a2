"""Contact sheets of a data set."""

import numpy as np
import pytest

from camvid_folders import write_uneven
from data.camvid import camvid
from mosaic.utils import contact_sheet


@pytest.fixture
def folder(tmp_path):
    return write_uneven(tmp_path / "in")


def test_data_that_is_only_evaluated_has_no_sheet_of_training(folder, tmp_path):
    written = contact_sheet.write(camvid(str(folder)), str(tmp_path / "out"))
    assert [path.name for path in written] == ["sheet_train.png", "sheet_val.png"]
    assert sorted((tmp_path / "out").iterdir()) == written


def test_sheets_are_tiled_above_a_legend(drawn):
    """Five images of 64x96: two rows of tiles of 360 pixels, image above overlay."""
    pairs = [drawn.example("val", index) for index in range(5)]
    picture = contact_sheet.sheet(pairs, drawn)
    assert picture.shape[1] == 4 * 366
    assert picture.shape[0] > 2 * (2 * 240 + 6)
    assert np.all(picture[490, 370:] == 255), "the second row has one tile"


def test_an_overlay_lies_below_its_image(drawn):
    image = np.full((64, 96, 3), 100, np.uint8)
    picture = contact_sheet.sheet([(image, np.zeros((64, 96), np.uint8))], drawn)
    np.testing.assert_array_equal(picture[120, 180], (100, 100, 100))
    np.testing.assert_array_equal(picture[360, 180], (40, 40, 160))
