"""The order of the review queue."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autoweak.weak_labels import Status, Verdict
from autoweak.weak_labels.review_queue import Ranked, review_order

NOTHING: Any = SimpleNamespace(status=Status.NOTHING_FOUND, quality=None, verdict=None)


def _weak(quality: float) -> Any:
    verdict = Verdict.ACCEPT if quality >= 0.8 else Verdict.REVIEW if quality >= 0.5 else Verdict.REJECT
    return SimpleNamespace(status=Status.LABELLED, quality=quality, verdict=verdict)


def _rank(waiting: dict[str, Any], *, known: tuple[str, ...] = (), **vectors: list[float]) -> list[Ranked]:
    """The queue; vectors of images that do not wait are those of labelled ones."""

    def describe(image_id: str) -> Any:
        vector = vectors.get(image_id)
        return None if vector is None else np.array(vector, dtype=np.float32) / np.linalg.norm(vector)

    labelled = [name for name in vectors if name not in waiting]
    return review_order(waiting, known=[*labelled, *known], describe=describe)


def _order(waiting: dict[str, Any], *, known: tuple[str, ...] = (), **vectors: list[float]) -> list[str]:
    return [one.image_id for one in _rank(waiting, known=known, **vectors)]


def test_without_descriptions_the_half_doubtful_come_first_and_the_hopeless_and_sure_last() -> None:
    weak = {"good": _weak(0.92), "doubtful": _weak(0.6), "bad": _weak(0.1), "none": NOTHING, "new": None}
    assert _order(weak) == ["new", "doubtful", "none", "bad", "good"]


def test_of_equally_doubtful_the_unlike_any_labelled_come_first() -> None:
    weak = {"a": _weak(0.6), "b": _weak(0.6)}
    assert _order(weak, gold=[1, 0], a=[1, 0.1], b=[0, 1]) == ["b", "a"]
    assert _order(weak, gold=[0, 1], a=[1, 0.1], b=[0, 1]) == ["a", "b"]


def test_of_equally_unlike_the_open_ones_come_first() -> None:
    weak = {"sure": _weak(0.95), "unsure": _weak(0.3)}
    assert _order(weak, gold=[0, 0, 1], sure=[1, 0, 0], unsure=[0, 1, 0]) == ["unsure", "sure"]


def test_typical_comes_before_an_outlier_of_the_same_doubt() -> None:
    weak = {name: _weak(0.5) for name in ("odd", "a", "b", "c")}
    vectors = {"odd": [-1, 0, 1], "a": [1, 0.12, 0], "b": [1, 0.1, 0], "c": [1, 0.08, 0]}
    order = _order(weak, gold=[0, 0, -1], **vectors)
    assert order[0] != "odd"
    assert order[-1] != "odd"  # the third of a kind tells less than the first of another


def test_a_batch_holds_one_of_each_kind_before_the_second_of_any() -> None:
    kinds = {"x": [1, 0, 0], "y": [0, 1, 0], "z": [0, 0, 1]}
    vectors = {
        f"{kind}{number}": [value + 0.02 * number for value in centre]
        for kind, centre in kinds.items()
        for number in range(4)
    }
    # The first kind is the most doubtful one: lowest quality first would begin with all four of it.
    weak = {name: _weak(0.3 if name.startswith("x") else 0.5) for name in vectors}
    assert [name[0] for name in sorted(weak, key=lambda name: weak[name].quality)[:3]] == ["x", "x", "x"]
    assert {name[0] for name in _order(weak, **vectors)[:3]} == {"x", "y", "z"}


def test_what_someone_has_in_hands_counts_as_labelled() -> None:
    weak = {name: _weak(0.5) for name in ("a", "alike", "other")}
    vectors = {"a": [1, 0, 0], "alike": [1, 0.01, 0], "other": [0, 1, 0]}
    assert _order(weak, known=("a",), **vectors) == ["other", "alike", "a"]


def test_score_is_the_place_and_the_reason_is_told() -> None:
    first, second = _rank({"a": _weak(0.62), "b": _weak(0.9)})
    assert first == Ranked("a", 1.0, "its weak label needs a look (expected Dice 0.62)")
    assert second == Ranked("b", 0.5, "its weak label is probably good (expected Dice 0.90)")


def test_a_common_kind_comes_more_often_than_a_rare_one() -> None:
    rng = np.random.default_rng(0)
    centres = {"common": [1.0, 0, 0]} | {"rare": [0.0, 1, 0]}
    vectors = {
        f"{kind}{number:02d}": list(np.array(centres[kind]) + rng.normal(0, 0.05, 3))
        for kind, count in (("common", 30), ("rare", 10))
        for number in range(count)
    }
    first = _order({name: _weak(0.5) for name in vectors}, **vectors)[:8]
    assert sum(name.startswith("rare") for name in first) == 2


_QUALITIES = st.one_of(st.none(), st.floats(0, 1))
_VECTORS = st.one_of(st.none(), st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3))


@given(data=st.data(), count=st.integers(0, 40), seed=st.integers(0, 99))
def test_every_image_comes_once_in_falling_score_whatever_the_order_it_was_given_in(
    data: st.DataObject, count: int, seed: int
) -> None:
    names = [f"i{number:02d}" for number in range(count)]
    weak = {name: None if (quality := data.draw(_QUALITIES)) is None else _weak(quality) for name in names}
    found = {name: data.draw(_VECTORS) for name in [*names, "gold"]}
    vectors = {name: None if one is None else np.array(one, np.float32) for name, one in found.items()}
    ranked = review_order(weak, known=["gold"], describe=vectors.get)
    assert sorted(one.image_id for one in ranked) == names
    places = [(-one.score, one.image_id) for one in ranked]
    assert places == sorted(places)
    assert all(np.isfinite(one.score) and one.score >= 0 for one in ranked)
    shuffled = [names[place] for place in np.random.default_rng(seed).permutation(count)]
    again = review_order({name: weak[name] for name in shuffled}, known=["gold"], describe=vectors.get)
    assert again == ranked


def test_equal_images_come_in_order_of_their_ids() -> None:
    weak = {name: _weak(0.5) for name in ("c", "a", "b")}
    same = {name: [1.0, 0.0] for name in weak}
    assert _order(weak, **same) == ["a", "b", "c"]
    assert _order(weak) == ["a", "b", "c"]
