"""How long work tells that it advances: the core calls a `Progress`, the command line draws it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
_TERMINAL_SECONDS = 0.1
_FILE_SECONDS = 15.0


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
    """One tqdm bar a stage, on standard error, so that standard output stays machine-readable.

    A terminal sees it move; a file gets a line now and then, and the last one of each stage.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._name = ""
        self._drawn = 0.0
        self._seconds = _TERMINAL_SECONDS if sys.stderr.isatty() else _FILE_SECONDS

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
        self._bar.set_postfix_str(text, refresh=False)
        now = time.monotonic()
        if done >= total or now - self._drawn >= self._seconds:
            self._bar.refresh()
            self._drawn = now

    def say(self, text: str) -> None:
        """Close the last bar and write a line."""
        self.close()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

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
