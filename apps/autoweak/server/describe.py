"""Vectors of what images look like, made while a client may wait and kept in the workspace."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from autoweak.atomic import write_with
from autoweak.errors import AutoweakError
from autoweak.promptable.registry import get_entry
from autoweak.server.live import Live
from autoweak.studies import Study
from autoweak.weak_labels.looks import Vector, looks_of

# A client waits for its next image; what is not described by then is described by the next request.
_SECONDS = 1.5


class Descriptions:
    """Describes images by their middle slice, and keeps the vectors in the workspace."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._known: dict[Path, Vector] = {}

    def within(self, studies: dict[str, Study]) -> _Hurried:
        """A function for `review_order` that describes images only as long as a client may wait."""
        return _Hurried(self, studies, time.monotonic() + _SECONDS)

    def get(self, study: Study, *, compute: bool) -> Vector | None:
        """The unit vector (C,) of an image, None if it cannot be read or is not there and `compute` is not set."""
        path = self._path(study)
        if path not in self._known:
            vector = _stored(path)
            if vector is None and compute:
                vector = self._compute(study, path)
            if vector is None:
                return None
            self._known[path] = vector
        return self._known[path]

    def _compute(self, study: Study, path: Path) -> Vector | None:
        try:
            _, view = self._live.image(study)
        except AutoweakError:
            return None
        model, cache = self._live.promptable()
        vector = looks_of(view, model=model, cache=cache)

        def write(partial: Path) -> None:
            with partial.open("wb") as stream:
                np.save(stream, vector)

        write_with(path, write)
        return vector

    def _path(self, study: Study) -> Path:
        try:
            changed = study.path.stat().st_mtime_ns
        except OSError:
            changed = 0
        folder = self._live.workspace.root / "descriptions" / self._model()
        return folder / f"{study.image_id}-{changed:x}.npy"

    def _model(self) -> str:
        """What names the model that describes: vectors of other weights may even have another length."""
        if self._live.settings.checkpoint is not None:
            model, _ = self._live.promptable()
            return f"{model.name}-{model.sha256[:12]}"
        entry = get_entry(self._live.promptable_name)
        return f"{entry.name}-{(entry.sha256 or '')[:12]}"


class _Hurried:
    def __init__(self, descriptions: Descriptions, studies: dict[str, Study], deadline: float) -> None:
        self._descriptions = descriptions
        self._studies = studies
        self._deadline = deadline

    def __call__(self, image_id: str) -> Vector | None:
        study = self._studies[image_id]
        # What lies on an image server alone is not fetched to be described: its weak label brings it here.
        compute = time.monotonic() < self._deadline and study.path.exists()
        return self._descriptions.get(study, compute=compute)


def _stored(path: Path) -> Vector | None:
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    except (OSError, ValueError, EOFError):
        return None
