"""Class maps: which class of a data set each class of a network stands for."""

from __future__ import annotations

import json
import pathlib

import gin

from data.errors import DataError, check_regular
from data.label_map import LabelMap
from data.ranges import NAME_OR_JSON

_FOLDER = pathlib.Path(__file__).parent / "labels" / "maps"


class ClassMap(tuple[int, ...]):
    """A class map with the name of its file, for reports."""

    name: str


@gin.configurable(module="datasets")
def class_map(name: NAME_OR_JSON) -> ClassMap:
    """Reads a class map, for scoring a network on a data set with other classes.

    Args:
      name: name of a file in data/labels/maps, or path of a file ending in .json: `source` and
        `target` are label maps as for `LabelMap.named`, and `classes` has the target class's name
        for each source class's name. Source classes that are missing stand for no class.

    Returns:
      The target's class index for each class of the source, -1 for none.

    Raises:
      DataError: there is no such file, it does not have that format, or it names an unknown class.
    """
    path = pathlib.Path(name) if name.endswith(".json") else _FOLDER / f"{name}.json"
    check_regular(path)
    try:
        table = json.loads(path.read_text())
        source, target = (LabelMap.named(table[key]).names for key in ("source", "target"))
        classes = dict(table["classes"])
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.json")))
        raise DataError(
            f"{name}: no readable class map ({error.strerror}); give a .json file or one of {known}"
        ) from None
    except DataError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path}: not a class map ({what}); see data/labels/maps") from None
    for key, names, which in ((classes, source, "source"), (classes.values(), target, "target")):
        for unknown in sorted(set(key) - set(names)):
            raise DataError(f"{path}: {unknown!r} is no class of the {which}, {table[which]}")
    found = ClassMap(target.index(classes[key]) if key in classes else -1 for key in source)
    found.name = path.stem
    return found
