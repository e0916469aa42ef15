"""The studies as they are now, without listing the folder for every request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from autoweak.errors import StudiesError
from autoweak.studies import StudiesFolder, open_studies
from autoweak.studies.folder import GOLD_FOLDER, WEAK_FOLDER
from autoweak.studies.names import kind_of

_Stamp = tuple[int, ...]
# The studies folder and those of gold and weak labels.
_OWN = 3


class Listing:
    """Lists a studies folder again only when a file came or went; a folder without images is empty, not wrong."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._known: tuple[_Stamp, StudiesFolder] | None = None
        # Of DICOM series, whose own files come and go.
        self._folders: tuple[Path, ...] = ()

    def get(self) -> StudiesFolder:
        """All images with their labels.

        Raises:
            StudiesError: two images have one id, or the folder cannot be listed.
        """
        with self._lock:
            # Taken before the listing: what comes while it is read changes the stamp, and is seen the next time.
            stamp = self._stamp()
            if self._known is None or self._known[0] != stamp:
                found = self._list()
                self._folders = tuple(sorted(set(_folders(found)) - {self._root}))
                self._known = (*stamp[:_OWN], *map(_changed, self._folders)), found
            return self._known[1]

    def _stamp(self) -> _Stamp:
        own = (self._root, self._root / GOLD_FOLDER, self._root / WEAK_FOLDER)
        return tuple(_changed(folder) for folder in (*own, *self._folders))

    def forget(self) -> None:
        """List again the next time; for changes within the resolution of the folder's clock."""
        with self._lock:
            self._known = None

    def _list(self) -> StudiesFolder:
        try:
            return open_studies(self._root)
        except StudiesError:
            if self._root.is_dir() and not any(_is_image(entry) for entry in self._root.iterdir()):
                return StudiesFolder(self._root, ())
            raise


def _folders(studies: StudiesFolder) -> Iterator[Path]:
    for study in studies.studies:
        yield study.path if study.path.is_dir() else study.path.parent


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _is_image(entry: Path) -> bool:
    if entry.name.startswith("."):
        return False
    return entry.name != "labels" if entry.is_dir() else kind_of(entry) is not None
