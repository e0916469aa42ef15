"""Who was given which image, so that two people do not draw the same one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from autoweak.atomic import write_json


@dataclass(frozen=True)
class Lease:
    """An image in someone's hands: `client` as it calls itself ("" if it does not), `since` in seconds since 1970."""

    client: str
    since: float


class Leases:
    """The images that were handed out, in a file, so that they outlive the server.

    Args:
        path: the file.
        seconds: how long an image is kept from others.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, *, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._seconds = seconds
        self._clock = clock

    def take(self, client: str, ranked: Iterable[str]) -> str | None:
        """Lease the first image that nobody was just given.

        If all are in someone's hands, the client gets back the one that it has had longest; images of others only when
        their lease has run out.

        Args:
            client: who asks.
            ranked: image ids, best first.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_suffix(".lock")):
            held = self._read()
            candidates = list(ranked)
            chosen = next((image_id for image_id in candidates if image_id not in held), None)
            if chosen is None:
                own = [image_id for image_id in candidates if held[image_id].client == client]
                chosen = min(own, key=lambda image_id: held[image_id].since, default=None)
            if chosen is not None:
                held[chosen] = Lease(client, self._clock())
                write_json(self._path, {image_id: vars(lease) for image_id, lease in held.items()})
            return chosen

    def held(self) -> dict[str, Lease]:
        """The leases that have not run out."""
        return self._read()

    def _read(self) -> dict[str, Lease]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            leases = {str(key): Lease(str(one["client"]), float(one["since"])) for key, one in content.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            # Missing, or damaged by someone: the worst is that two people get one image.
            return {}
        now = self._clock()
        return {image_id: lease for image_id, lease in leases.items() if 0 <= now - lease.since < self._seconds}
