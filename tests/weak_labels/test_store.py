"""Weak labels on disk: a person's work is safe, a killed run loses nothing, a second run makes nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoweak import atomic
from autoweak.errors import LabelError
from autoweak.hashing import file_sha256
from autoweak.weak_labels import Inputs, WeakLabel, is_current, read_sidecar, save_weak_label, was_edited

Writer = Callable[[Path], Any]


@pytest.fixture
def mask_path(tmp_path: Path) -> Path:
    """Where the mask goes; its folder is not there yet."""
    return tmp_path / "labels" / "original" / "case_1.png"


def _writer(content: bytes) -> Writer:
    return lambda path: path.write_bytes(content)


def test_a_label_is_saved_with_a_sidecar_that_knows_its_mask(
    inputs: Inputs, labelled: WeakLabel, mask_path: Path
) -> None:
    sidecar = save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"mask"))
    assert mask_path.read_bytes() == b"mask"
    assert read_sidecar(mask_path.with_suffix(".json")) == sidecar
    assert sidecar.mask is not None
    assert (sidecar.mask.name, sidecar.mask.sha256) == ("case_1.png", file_sha256(mask_path))
    assert sidecar.replaces is None
    assert is_current(sidecar, inputs=inputs, mask_path=mask_path)
    assert not was_edited(sidecar, mask_path)
    assert sorted(path.name for path in mask_path.parent.iterdir()) == ["case_1.json", "case_1.png"]


def test_the_writer_sees_the_mask_s_suffixes(inputs: Inputs, labelled: WeakLabel, tmp_path: Path) -> None:
    seen: list[Path] = []

    def write(path: Path) -> None:
        seen.append(path)
        path.write_bytes(b"volume")

    save_weak_label(labelled, inputs=inputs, mask_path=tmp_path / "case_1.nii.gz", write_mask=write)
    assert seen[0].name.endswith(".nii.gz")
    assert (tmp_path / "case_1.json").exists()


def test_nothing_found_leaves_a_sidecar_alone(
    inputs: Inputs, nothing: WeakLabel, mask_path: Path, write_mask: Writer
) -> None:
    sidecar = save_weak_label(nothing, inputs=inputs, mask_path=mask_path, write_mask=write_mask)
    assert [path.name for path in mask_path.parent.iterdir()] == ["case_1.json"]
    assert is_current(sidecar, inputs=inputs, mask_path=mask_path)


def test_a_machine_made_mask_is_replaced_or_removed(
    inputs: Inputs, labelled: WeakLabel, nothing: WeakLabel, mask_path: Path
) -> None:
    save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"first"))
    save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"second"))
    assert mask_path.read_bytes() == b"second"
    sidecar = save_weak_label(nothing, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"none"))
    assert not mask_path.exists()
    assert is_current(sidecar, inputs=inputs, mask_path=mask_path)


def test_other_inputs_or_a_lost_mask_are_not_current(inputs: Inputs, labelled: WeakLabel, mask_path: Path) -> None:
    sidecar = save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"mask"))
    assert not is_current(sidecar, inputs=inputs.model_copy(update={"seed": 8}), mask_path=mask_path)
    renamed = mask_path.rename(mask_path.with_suffix(".nii.gz"))
    assert not is_current(sidecar, inputs=inputs, mask_path=renamed)
    assert not is_current(sidecar, inputs=inputs, mask_path=mask_path)
    assert not was_edited(sidecar, mask_path)


@pytest.mark.parametrize("found", [True, False])
def test_a_mask_changed_by_a_person_is_kept(
    found: bool, inputs: Inputs, labelled: WeakLabel, nothing: WeakLabel, mask_path: Path
) -> None:
    sidecar = save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"mask"))
    mask_path.write_bytes(b"by hand")
    assert was_edited(sidecar, mask_path)
    assert not is_current(sidecar, inputs=inputs, mask_path=mask_path)
    with pytest.raises(LabelError, match="changed or put there by someone"):
        save_weak_label(labelled if found else nothing, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"new"))
    assert mask_path.read_bytes() == b"by hand"
    assert read_sidecar(mask_path.with_suffix(".json")) == sidecar


def test_a_mask_drawn_where_nothing_was_found_is_kept(inputs: Inputs, nothing: WeakLabel, mask_path: Path) -> None:
    sidecar = save_weak_label(nothing, inputs=inputs, mask_path=mask_path, write_mask=_writer(b""))
    mask_path.write_bytes(b"by hand")
    assert was_edited(sidecar, mask_path)
    assert not is_current(sidecar, inputs=inputs, mask_path=mask_path)


def test_a_mask_of_unknown_origin_or_a_link_is_kept(
    inputs: Inputs, labelled: WeakLabel, mask_path: Path, tmp_path: Path
) -> None:
    mask_path.parent.mkdir(parents=True)
    mask_path.write_bytes(b"who knows")
    assert was_edited(None, mask_path)
    with pytest.raises(LabelError, match="put there by someone"):
        save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"new"))
    mask_path.unlink()
    assert not was_edited(None, mask_path)
    mask_path.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(LabelError, match="put there by someone"):
        save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"new"))
    assert mask_path.is_symlink()


def test_a_mask_beside_an_unreadable_sidecar_is_kept_and_a_sidecar_alone_is_replaced(
    inputs: Inputs, labelled: WeakLabel, mask_path: Path
) -> None:
    mask_path.parent.mkdir(parents=True)
    mask_path.with_suffix(".json").write_text("{")
    mask_path.write_bytes(b"who knows")
    with pytest.raises(LabelError, match="not JSON"):
        save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"new"))
    assert mask_path.read_bytes() == b"who knows"
    mask_path.unlink()
    sidecar = save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"new"))
    assert is_current(sidecar, inputs=inputs, mask_path=mask_path)


class _Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("older", [None, b"older"])
@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_run_killed_at_any_write_is_repeated_and_ends_as_an_undisturbed_one(
    moment: int,
    older: bytes | None,
    inputs: Inputs,
    labelled: WeakLabel,
    mask_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if older is not None:
        old_inputs = inputs.model_copy(update={"seed": 1})
        save_weak_label(labelled, inputs=old_inputs, mask_path=mask_path, write_mask=_writer(older))
    renames = 0
    rename = atomic.os.replace

    def killed_at(source: Path, target: Path) -> None:
        nonlocal renames
        if renames == moment:
            raise _Killed
        renames += 1
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "replace", killed_at)
        if moment < 2:
            with pytest.raises(_Killed):
                save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"newer"))
        else:
            save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"newer"))
    sidecar_path = mask_path.with_suffix(".json")
    left = read_sidecar(sidecar_path) if sidecar_path.exists() else None
    assert not was_edited(left, mask_path)
    assert (left is not None and is_current(left, inputs=inputs, mask_path=mask_path)) == (moment == 2)
    again = save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"newer"))
    assert mask_path.read_bytes() == b"newer"
    assert is_current(again, inputs=inputs, mask_path=mask_path)


def test_a_run_killed_before_an_old_mask_is_removed_removes_it_when_repeated(
    inputs: Inputs, labelled: WeakLabel, nothing: WeakLabel, mask_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"older"))

    def killed(*_: Any, **__: Any) -> None:
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr("autoweak.weak_labels.store._remove", killed)
        with pytest.raises(_Killed):
            save_weak_label(nothing, inputs=inputs, mask_path=mask_path, write_mask=_writer(b""))
    left = read_sidecar(mask_path.with_suffix(".json"))
    assert not was_edited(left, mask_path)
    assert not is_current(left, inputs=inputs, mask_path=mask_path)
    save_weak_label(nothing, inputs=inputs, mask_path=mask_path, write_mask=_writer(b""))
    assert not mask_path.exists()


def test_a_writer_that_fails_leaves_the_old_label_whole(inputs: Inputs, labelled: WeakLabel, mask_path: Path) -> None:
    first = save_weak_label(labelled, inputs=inputs, mask_path=mask_path, write_mask=_writer(b"mask"))

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_weak_label(replace(labelled, quality=0.7), inputs=inputs, mask_path=mask_path, write_mask=fails)
    assert mask_path.read_bytes() == b"mask"
    assert read_sidecar(mask_path.with_suffix(".json")) == first
    assert len(list(mask_path.parent.iterdir())) == 2
