"""Files of arrays come back whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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


def test_a_damaged_file_never_ends_in_an_exception(path: Path) -> None:
    """Cut anywhere, and with any of its bits flipped."""
    whole, damaged = path.read_bytes(), path.with_name("damaged.npz")
    cuts = [whole[:length] for length in range(len(whole))]
    flips = [
        whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :] for at in range(len(whole)) for bit in range(8)
    ]
    for content in (*cuts, *flips):
        damaged.write_bytes(content)
        assert all(isinstance(value, np.ndarray) for value in read_arrays(damaged).values())


def test_what_would_have_to_be_unpickled_is_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "code.npz", mask=np.array([{"a": 1}], dtype=object))
    assert read_arrays(tmp_path / "code.npz") == {}
