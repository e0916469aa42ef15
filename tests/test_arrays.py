"""Files of arrays come back whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoweak.arrays import read_arrays


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.savez_compressed(tmp_path / "kept.npz", mask=np.eye(40, dtype=np.uint8), weight=np.float64(0.5))
    return tmp_path / "kept.npz"


def test_arrays_come_back_by_name(path: Path) -> None:
    stored = read_arrays(path)
    assert stored.keys() == {"mask", "weight"}
    np.testing.assert_array_equal(stored["mask"], np.eye(40))
    assert float(stored["weight"]) == 0.5
    assert read_arrays(path, only=["weight", "other"]).keys() == {"weight"}
    assert read_arrays(path.with_name("none.npz")) == {}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1), flip=st.integers(1, 255), length=st.floats(0, 1))
def test_a_damaged_file_never_ends_in_an_exception(path: Path, place: float, flip: int, length: float) -> None:
    whole = path.read_bytes()
    cut = path.with_name("cut.npz")
    cut.write_bytes(whole[: int(length * len(whole))])
    assert read_arrays(cut).keys() <= {"mask", "weight"}
    damaged = bytearray(whole)
    damaged[int(place * (len(whole) - 1))] ^= flip
    cut.write_bytes(bytes(damaged))
    for value in read_arrays(cut).values():
        assert isinstance(value, np.ndarray)


def test_what_would_have_to_be_unpickled_is_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "code.npz", mask=np.array([{"a": 1}], dtype=object))
    assert read_arrays(tmp_path / "code.npz") == {}
