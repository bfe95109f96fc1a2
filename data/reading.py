"""One reading of a data set's files: what they hold, and everything that is wrong with them."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from data.counts import Counts
from data.decoding import RepeatedFault
from data.errors import DataError
from data.faults import told_once
from data.image_files import Pair, read_pair
from data.label_map import LabelMap

# Number of problems that are listed where training stops.
_LISTED = 20


class Reading:
    """Reads every example of some splits once, and goes on after everything that is wrong.

    Args:
      splits: examples by split.
      label_map: label map of the label files.
      grey: whether images of one channel are allowed.
      upright: whether images that their metadata rotates are wrong.
      seen: function that is called after each example; None for none.

    Attributes:
      images: number of examples that were read, by split.
      counts: counts of those without a fault, by split.
      faults: errors of all others.
    """

    def __init__(
        self,
        splits: Mapping[str, Iterable[Pair]],
        label_map: LabelMap,
        grey: bool = False,
        upright: bool = False,
        seen: Callable[[], None] | None = None,
    ):
        self.images = collections.Counter(dict.fromkeys(splits, 0))
        self.counts = {split: Counts() for split in splits}
        self.faults: list[DataError] = []
        self._label_map, self._allowed, self._seen = label_map, (grey, upright), seen
        self._unread = {split: iter(pairs) for split, pairs in splits.items()}
        self._seen_in: dict[bytes, tuple[str, str]] = {}
        # Names in lists are compared when the lists are made.
        self._ids = {s: set() for s, pairs in splits.items() if not isinstance(pairs, list)}

    def examples(self, split: str) -> Iterator[tuple[Pair, bytes, np.ndarray]]:
        """Yields the examples of a split that were not read yet and have no fault.

        Each is (pair, content of the image file, labels as uint8 [height, width]).
        """
        table, counts = self._label_map.lookup(), self.counts[split]
        for pair in self._unread[split]:
            image, labels, errors = read_pair(pair, self._label_map, *self._allowed)
            errors += self._repeated(split, pair)
            self.faults += errors
            self.images[split] += 1
            if not errors:
                counts.add(pair.image.name, labels, pair.label is not None)
                counts.fold(pair.id, image, table[labels])
                self._compare(split, pair.image.name, image)
            if self._seen is not None:
                self._seen()
            if not errors:
                yield pair, image, labels

    def _repeated(self, split: str, pair: Pair) -> list[DataError]:
        """The fault of an example with the id of one before it; records could not hold both."""
        ids = self._ids.get(split, set())
        if pair.id not in ids:
            ids.add(pair.id)
            return []
        reason = "has the name of an example before it; names must differ in a split"
        return [RepeatedFault(pair.image.name, reason)]

    def _compare(self, split: str, name: str, image: bytes) -> None:
        """Notes an image that is in a split before too, whatever its name there."""
        key = hashlib.blake2b(image, digest_size=16).digest()
        first, twin = self._seen_in.setdefault(key, (split, name))
        if first != split:
            self.counts[split].share(name, twin)

    def finish(self) -> None:
        """Reads what was not read yet."""
        for split in self._unread:
            for _ in self.examples(split):
                pass

    def problems(self) -> list[str]:
        """Returns what is wrong, one line each; what many files share is told once."""
        return told_once(self.faults)


class Problems(DataError):
    """Something is wrong with a data set, perhaps in many places.

    Attributes:
      details: where there are several, up to 20 of them, one line each, for commands to print above
        the message, which has the first.
    """

    def __init__(self, problems: list[str]):
        others, unlisted = len(problems) - 1, len(problems) - _LISTED
        self.details = [f"  {line}" for line in problems[:_LISTED]] if others else []
        if unlisted > 0:
            self.details.append(f"  and {unlisted} more, which check_data.py lists")
        super().__init__(f"{problems[0]} (and {others} more)" if others else problems[0])


def refuse(problems: list[str]) -> None:
    """Raises `Problems` where there are any."""
    if problems:
        raise Problems(problems)
