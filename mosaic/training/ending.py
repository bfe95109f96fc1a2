"""Reasons for which a run ends before its last step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


class TimeUp(Exception):
    """The time for a run is over."""


@dataclasses.dataclass(frozen=True)
class Ending:
    """When a run ends early; both are told from its records, and so survive a restart.

    Attributes:
      patience: number of evaluations in a row without a better mIoU after which it ends; None for
        no such limit.
      hours: hours of training, evaluations included and restarts summed up, after which it ends;
        None for no such limit.
    """

    patience: int | None = None
    hours: float | None = None

    def is_late(self, times: Sequence[dict]) -> bool:
        """Whether the time is over.

        Args:
          times: entries of the run's `Times`.
        """
        return bool(self.hours and times and times[-1]["seconds"] >= 3600 * self.hours)

    def reason(self, history: Sequence[dict], times: Sequence[dict]) -> str | None:
        """Returns why a run ends now, or None.

        Args:
          history: entries of the run's `History`.
          times: entries of its `Times`.
        """
        scores = [entry["mean_iou"] for entry in history if "mean_iou" in entry]
        if self.patience and scores:
            since = len(scores) - 1 - scores.index(max(scores))
            if since >= self.patience:
                return (
                    f"train.patience = {self.patience}: evaluations without a better mIoU: {since}"
                )
        if self.is_late(times):
            return f"train.hours = {self.hours:g}: this time is over"
        return None
