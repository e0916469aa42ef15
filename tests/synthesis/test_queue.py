from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from autoweak.server.leases import Leases
from autoweak.server.strategy import WeakLabelStrategy
from autoweak.studies import open_studies
from autoweak.synthesis.marks import Mark, write_marked


class _Descriptions:
    """Knows no image."""

    def within(self, every: Any) -> Any:
        return lambda image_id: None


def test_a_synthetic_image_is_never_given_out_for_review(pictures: Path, tmp_path: Path) -> None:
    mark = Mark("a" * 64, 0, 1, "ddim", 50)
    # One where it belongs, and two that someone put among the images of patients.
    for path in (pictures / "synthetic" / "x.png", pictures / "hidden.png", pictures / f"{mark.image_id}.png"):
        write_marked(path, np.zeros((16, 16, 1), np.uint8), mark)
    datastore = SimpleNamespace(studies=lambda: open_studies(pictures), sidecar=lambda study: None)
    leases = Leases(tmp_path / "leases.json", seconds=60)
    strategy = WeakLabelStrategy(datastore, leases, _Descriptions())  # type: ignore[arg-type]
    given = []
    while (found := strategy({"client_id": f"client{len(given)}"})) is not None:
        given.append(found["id"])
    assert sorted(given) == [f"disc{index}" for index in range(10)]
