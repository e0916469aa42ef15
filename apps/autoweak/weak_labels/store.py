"""Weak labels on disk: what may be kept, what may be replaced, and writing them in a safe order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autoweak import atomic
from autoweak.errors import LabelError
from autoweak.hashing import file_sha256
from autoweak.weak_labels.generate import WeakLabel
from autoweak.weak_labels.provenance import Inputs, MaskRecord, Sidecar, describe, read_sidecar, write_sidecar
from autoweak.weak_labels.verdict import Status


def was_edited(sidecar: Sidecar | None, mask_path: Path) -> bool:
    """Whether the mask file is a person's work, and so must not be overwritten, moved or deleted.

    It is, if its bytes are not those that the program wrote; also if no sidecar tells where it came
    from, or if it is a link to somewhere else.

    Args:
        sidecar: the mask's sidecar; None if it has none.
        mask_path: where the mask is, or would be.
    """
    if mask_path.is_symlink():
        return True
    if not mask_path.exists():
        return False
    if sidecar is None:
        return True
    ours = {sidecar.replaces, sidecar.mask.sha256 if sidecar.mask else None}
    return file_sha256(mask_path) not in ours


def is_current(sidecar: Sidecar, *, inputs: Inputs, mask_path: Path) -> bool:
    """Whether a weak label need not be made again: same inputs, and its mask is there as it was written.

    Args:
        sidecar: the label's sidecar.
        inputs: what the label would be made of now.
        mask_path: where its mask is, or would be.
    """
    if not sidecar.inputs.makes_same_label(inputs):
        return False
    if sidecar.mask is None:
        return not mask_path.exists()
    return mask_path.name == sidecar.mask.name and mask_path.is_file() and file_sha256(mask_path) == sidecar.mask.sha256


def save_weak_label(
    weak: WeakLabel, *, inputs: Inputs, mask_path: Path, write_mask: Callable[[Path], object]
) -> Sidecar:
    """Write a weak label: its mask (none if nothing was found) and `<image id>.json` beside it.

    The mask is written under a temporary name, then the sidecar, then the mask gets its name: a process
    killed in between leaves a sidecar whose mask is missing or is the older one it replaces, which
    `is_current` tells, and never a mask that could pass for a person's.

    Args:
        weak: the label.
        inputs: what it was made of.
        mask_path: where the mask goes; its folder gets the sidecar.
        write_mask: writes the mask to the path it is given, which has `mask_path`'s suffixes.

    Returns:
        The sidecar as written.

    Raises:
        LabelError: a person's work is in the way, or a mask is whose sidecar cannot be read.
    """
    sidecar_path = mask_path.parent / f"{inputs.image.id}.json"
    in_the_way = mask_path.exists() or mask_path.is_symlink()
    previous = read_sidecar(sidecar_path) if in_the_way and sidecar_path.exists() else None
    if was_edited(previous, mask_path):
        raise LabelError(
            f"The label {mask_path} was changed or put there by someone and is kept: save it in labels/final to "
            f"count it as gold, or move it away to get a weak label in its place."
        )
    replaces = file_sha256(mask_path) if in_the_way else None
    if weak.status is Status.NOTHING_FOUND:
        sidecar = describe(weak, inputs=inputs, mask=None, replaces=replaces)
        write_sidecar(sidecar_path, sidecar)
        _remove(mask_path)
        return sidecar
    with atomic.atomic_path(mask_path) as partial:
        write_mask(partial)
        record = MaskRecord(name=mask_path.name, sha256=file_sha256(partial))
        sidecar = describe(weak, inputs=inputs, mask=record, replaces=replaces)
        write_sidecar(sidecar_path, sidecar)
    return sidecar


def _remove(mask_path: Path) -> None:
    mask_path.unlink(missing_ok=True)
