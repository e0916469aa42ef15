"""Writes happen whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoweak.atomic import atomic_path, remove_partials, write_json, write_text


def test_write_replaces_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "note.txt"
    write_text(target, "first")
    write_text(target, "second")
    assert target.read_text() == "second"
    assert [path.name for path in target.parent.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "note.txt"
    write_text(target, "old")

    def fail() -> None:
        with atomic_path(target) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "numbers.json"
    write_json(target, {"dice": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, {"dice": float("nan")})
    assert json.loads(target.read_text()) == {"dice": 0.5}


def test_suffix_of_the_partial_file_is_that_of_the_target(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "mask.nii.gz") as partial:
        assert partial.name.endswith("mask.nii.gz")
        partial.write_bytes(b"x")


def test_remove_partials_takes_only_leftovers(tmp_path: Path) -> None:
    (tmp_path / ".partial-abc-mask.png").touch()
    (tmp_path / "mask.png").touch()
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mask.png"]


def test_remove_partials_of_one_file_leaves_those_of_others(tmp_path: Path) -> None:
    for name in (".partial-abc-mask.png", ".partial-abc-other.png", "mask.png"):
        (tmp_path / name).touch()
    remove_partials(tmp_path, of="mask.png")
    assert {path.name for path in tmp_path.iterdir()} == {".partial-abc-other.png", "mask.png"}
