"""Which images the series of a DICOMweb server hold: asked once a series, and kept, so that ids stay."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from autoweak.atomic import write_json
from autoweak.errors import StudiesError
from autoweak.studies import check_id
from autoweak.studies.dicom import faults
from autoweak.studies.dicom_pictures import instance_of, split

Part = tuple[str, int | None]
"""SOP instance UID and frame number of a picture."""


class SeriesContents:
    """Image ids of the pictures in each series, in a file.

    A series can grow while an examination goes on. A picture that was there before keeps its id then: labels are called
    by it.

    Args:
        path: the file; what is damaged in it is asked for again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = _stored(path)
        self._fresh = False

    def get(self, uid: str, count: int, headers: Callable[[], Iterable[Any]]) -> Mapping[str, Part]:
        """The pictures of a series by image id; none where it is a volume.

        Args:
            uid: of the series.
            count: how many instances it has now.
            headers: asks for the headers of all its instances.

        Raises:
            ImageError: a header cannot be read.
        """
        with self._lock:
            known = self._known.get(uid)
        if known is not None and known[0] == count:
            return known[1]
        with faults():
            instances = [instance_of(header) for header in headers()]
        found = _named(uid, {(instances[one.index].uid, one.frame): one.suffix for one in split(instances)}, known)
        with self._lock:
            self._known[uid] = count, found
            self._fresh = True
        return found

    def keep(self) -> None:
        """Write what was asked since."""
        with self._lock:
            if self._fresh:
                write_json(self._path, self._known)
                self._fresh = False


def _named(uid: str, parts: Mapping[Part, str], before: tuple[int, Mapping[str, Part]] | None) -> dict[str, Part]:
    kept = {image_id: part for image_id, part in (before[1] if before else {}).items() if part in parts}
    named = dict(kept)
    for part, suffix in parts.items():
        if part not in kept.values() and _is_name(part[0]):
            image_id = f"{uid}{suffix}"
            while image_id in named:  # an earlier picture has the number
                image_id += "-new"
            named[image_id] = part
    return named


def _is_name(instance: str) -> bool:
    """Whether a SOP instance UID can name a file; from a sound server all can."""
    try:
        return check_id(instance) == instance
    except StudiesError:
        return False


def _stored(path: Path) -> dict[str, tuple[int, dict[str, Part]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(uid): (int(count), {check_id(name): (check_id(part[0]), part[1]) for name, part in parts.items()})
            for uid, (count, parts) in content.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, IndexError, StudiesError):
        return {}
