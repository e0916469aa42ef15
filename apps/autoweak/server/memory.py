"""Images kept in memory between clicks: reading a volume takes longer than decoding a prompt."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from autoweak.errors import AutoweakError
from autoweak.loop.context import Context, view_of
from autoweak.studies import Study, StudyImage, read_study
from autoweak.tasks import Task

MOST_BYTES = 1024**3

Viewed = tuple[StudyImage, npt.NDArray[Any]]
_Key = tuple[Path, int | None, int, int]


class ImageMemory:
    """The images used last, with their 8-bit views; safe for several threads.

    Attributes:
        fetch: brings an image that is not here yet to its path, where images come from a server.
    """

    def __init__(self, *, max_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[_Key, Viewed] = OrderedDict()
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self.fetch: Callable[[Study], None] | None = None

    def get(self, study: Study, task: Task) -> Viewed:
        """The image of a study and its view (S, H, W, C), read again if the file has changed.

        Raises:
            ImageError: the image cannot be read, or is not what the task is for.
        """
        if self.fetch is not None and not study.path.exists():
            self.fetch(study)
        key = _key(study)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        image = read_study(study, plane=task.plane)
        viewed = image, view_of(image, task)
        with self._lock:
            self._kept[key] = viewed
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > self._max_bytes:
                self._kept.popitem(last=False)
        return viewed


@dataclass
class LiveContext(Context):
    """A context that reads images through the server's memory."""

    memory: ImageMemory | None = None

    def read(self, study: Study) -> Viewed | None:
        """As in `Context`."""
        if self.memory is None:
            return super().read(study)
        try:
            return self.memory.get(study, self.task)
        except AutoweakError as error:
            self.report_problem(study.image_id, error)
            return None


def _key(study: Study) -> _Key:
    try:
        status = study.path.stat()
    except OSError:  # the reader then says what is wrong
        return study.path, study.frame, 0, 0
    return study.path, study.frame, status.st_mtime_ns, status.st_size


def _size(viewed: Viewed) -> int:
    image, view = viewed
    return int(image.pixels.nbytes + view.nbytes)
