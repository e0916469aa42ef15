"""The order of the review queue."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from autoweak.server.ranking import rank
from autoweak.weak_labels import Status, Verdict


def _weak(quality: float) -> Any:
    verdict = Verdict.ACCEPT if quality >= 0.8 else Verdict.REVIEW if quality >= 0.5 else Verdict.REJECT
    return SimpleNamespace(status=Status.LABELLED, quality=quality, verdict=verdict)


NOTHING: Any = SimpleNamespace(status=Status.NOTHING_FOUND, quality=None, verdict=None)


def _order(sidecars: dict[str, Any], **vectors: list[float]) -> list[str]:
    known = [name for name in vectors if name not in sidecars]

    def describe(image_id: str) -> Any:
        vector = vectors.get(image_id)
        return None if vector is None else np.array(vector, dtype=np.float32) / np.linalg.norm(vector)

    return [one.image_id for one in rank(sidecars, known=known, describe=describe)]


def test_doubtful_first() -> None:
    weak = {"good": _weak(0.92), "doubtful": _weak(0.6), "bad": _weak(0.1), "none": NOTHING, "new": None}
    assert _order(weak) == ["bad", "none", "new", "doubtful", "good"]


def test_of_equally_doubtful_the_unlike_first() -> None:
    weak = {"a": _weak(0.6), "b": _weak(0.61), "sure": _weak(0.9)}
    assert _order(weak, gold=[1, 0], a=[1, 0.1], b=[0, 1], sure=[-1, 0]) == ["b", "a", "sure"]
    assert _order(weak, gold=[0, 1], a=[1, 0.1], b=[0, 1], sure=[-1, 0]) == ["a", "b", "sure"]


def test_reason_and_score_are_told() -> None:
    first = rank({"a": _weak(0.62)}, known=[], describe=lambda _: None)[0]
    assert first.reason == "its weak label needs a look (expected Dice 0.62)"
    assert first.score == 0.4
