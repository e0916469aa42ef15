"""How long work tells that it advances: the core calls a `Progress`, the command line draws it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")


class Progress(Protocol):
    """Something that follows long work."""

    def stage(self, name: str) -> None:
        """A new part of the work begins."""

    def update(self, done: int, total: int, text: str) -> None:
        """`done` of `total` steps of this stage are done; `text` is a short remark."""


class NoProgress:
    """Follows nothing; the default of the library."""

    def stage(self, name: str) -> None:
        """Ignore."""

    def update(self, done: int, total: int, text: str) -> None:
        """Ignore."""


class BarProgress:
    """One tqdm bar a stage, on standard error, so that standard output stays machine-readable."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._name = ""

    def stage(self, name: str) -> None:
        """Close the last bar and begin another."""
        self.close()
        self._name = name

    def update(self, done: int, total: int, text: str) -> None:
        """Draw the bar at `done` of `total`."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=total, desc=self._name, file=sys.stderr, leave=True, dynamic_ncols=True, unit="")
        self._bar.total = total
        self._bar.n = done
        self._bar.set_postfix_str(text, refresh=True)

    def close(self) -> None:
        """Leave the last bar as it is and end its line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def each(items: Iterable[Item], progress: Progress, *, text: str = "") -> Iterator[Item]:
    """Yield `items`, counting them on `progress`."""
    known = list(items)
    for done, item in enumerate(known):
        progress.update(done, len(known), text)
        yield item
    if known:
        progress.update(len(known), len(known), text)
