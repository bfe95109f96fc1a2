"""Everything that is wrong with a data set, found by the checks that reading it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from data import ade20k, cityscapes, folders, pascal_voc
from data.errors import DataError
from data.layout import Layout

LAYOUTS: dict[str, Callable[..., Layout]] = {
    "ade20k": ade20k.layout,
    "camvid": lambda data_dir: folders.layout(data_dir, "camvid", "camvid"),
    "cityscapes": cityscapes.layout,
    "folders": folders.layout,
    "pascal_voc": pascal_voc.layout,
}


def problems(dataset: str, data_dir: str, **settings) -> Iterator[str]:
    """Reads every file of a data set and yields every problem, one line each; none if it is good.

    Args:
      dataset: one of `LAYOUTS`, named like the function that loads it.
      data_dir: as for that function.
      **settings: further arguments of the layout: `label_map` of `folders`, `coarse` of
        `cityscapes`, `augmented` of `pascal_voc`.

    Raises:
      DataError: there is no such data set, or the label map cannot be read.
    """
    if dataset not in LAYOUTS:
        raise DataError(f"{dataset}: no data set that can be checked; {', '.join(LAYOUTS)} can")
    return LAYOUTS[dataset](data_dir, **settings).check()
