"""Classes of a data set that a network with others cannot answer, and the score without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def unanswerable(class_map: Sequence[int] | None, class_names: Sequence[str]) -> list[str]:
    """Returns the classes of a data set for which no class of a network stands.

    Args:
      class_map: index of the data set's class for each class of the network, -1 for none; None for
        a network with the data set's classes.
      class_names: names of the data set's classes.
    """
    if class_map is None:
        return []
    return [name for index, name in enumerate(class_names) if index not in class_map]


def figures(report: Mapping, class_map: Sequence[int] | None) -> dict:
    """Returns what a report says of a network with other classes; empty for one with the same.

    Args:
      report: report with `per_class_iou` (None for classes that do not occur) and `class_names`.
      class_map: class map, as for `unanswerable`.

    Returns:
      `unanswerable_classes`, names, and `mean_iou_answerable`, the mean IoU over the other classes
      that occur, 0 to 1, or None if none does.
    """
    lacking = unanswerable(class_map, report["class_names"])
    if not lacking:
        return {}
    values = [
        value
        for name, value in report["per_class_iou"].items()
        if name not in lacking and value is not None
    ]
    return {
        "unanswerable_classes": lacking,
        "mean_iou_answerable": sum(values) / len(values) if values else None,
    }
