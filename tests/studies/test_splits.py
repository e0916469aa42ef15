"""Folds: nearly equal, by patient, the same each time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.errors import StudiesError
from autoweak.studies import folds

ids_lists = st.lists(st.text("abc123", min_size=1, max_size=4), min_size=5, max_size=30, unique=True)


@settings(max_examples=60, deadline=None)
@given(ids=ids_lists, count=st.integers(2, 5), seed=st.integers(0, 999), data=st.data())
def test_each_image_is_held_out_once(ids: list[str], count: int, seed: int, data: st.DataObject) -> None:
    parts = folds(ids, count=count, seed=seed)
    assert sorted(image_id for part in parts for image_id in part) == sorted(ids)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert folds(data.draw(st.permutations(ids)), count=count, seed=seed) == parts


@settings(max_examples=60, deadline=None)
@given(ids=ids_lists, seed=st.integers(0, 999), data=st.data())
def test_a_patient_is_in_one_part(ids: list[str], seed: int, data: st.DataObject) -> None:
    patient_of = {image_id: data.draw(st.sampled_from("PQRST")) for image_id in ids[2:]}
    patients = set(patient_of.values())
    parts = folds(ids, count=2, seed=seed, patient_of=patient_of)
    assert all(parts)
    for patient in patients:
        assert sum(any(patient_of.get(image_id) == patient for image_id in part) for part in parts) == 1


def test_an_image_named_like_a_patient_is_another_one() -> None:
    parts = folds(["P", "a", "b"], count=2, seed=0, patient_of={"a": "P", "b": "P"})
    assert sorted(parts) == [("P",), ("a", "b")]


def test_seeds_differ() -> None:
    ids = [str(index) for index in range(25)]
    assert len({folds(ids, count=3, seed=seed) for seed in range(5)}) == 5


@pytest.mark.parametrize(("ids", "count"), [(["a"], 2), ([], 2), (["a", "b"], 3), (["a", "b"], 1)])
def test_too_few_images_are_said(ids: list[str], count: int) -> None:
    with pytest.raises(StudiesError, match=f"got {len(ids)}; label more images"):
        folds(ids, count=count, seed=0)
