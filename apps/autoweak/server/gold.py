"""A person's label, as a viewer sends it, becomes a gold label."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoweak.atomic import write_with
from autoweak.server.errors import BadRequestError
from autoweak.studies import Study, StudyImage, mask_suffix, read_label, write_mask
from autoweak.studies.folder import GOLD_FOLDER
from autoweak.tasks import Task

EARLIER_FOLDER = Path("labels", "earlier")

Mask = npt.NDArray[np.uint8]


def read_sent_label(path: Path, *, image: StudyImage, task: Task, label_info: object = None) -> Mask:
    """Read what a viewer sent as a label of `image`.

    3D Slicer numbers the segments it exports from 1 in the order of its list, whatever they are called, and says in
    `label_info` which is which; so a label with segments missing is read by name.

    Args:
        path: PNG, NIfTI, NRRD and the other formats of `read_label`; of a picture also a volume of one slice; `.bin`
            holds bare voxels, as OHIF's client sends them.
        image: the image it belongs to.
        task: names the labels.
        label_info: a list of {"name", "idx"}, or nothing where the values are those of the task.

    Returns:
        (S, H, W) uint8 with the task's values; all 0 says that there is nothing to segment.

    Raises:
        BadRequestError: a segment with voxels is not called like a label of the task.
        LabelError: the file is damaged, or not of this image's size and place.
    """
    names = _names(label_info)
    if path.suffix == ".bin":
        stored = _raw(path, image)
        names = names or {value: name for name, value in task.labels.items()}
        return by_name(stored, names, task)
    if not names:
        return read_label(path, image=image, task=task).mask
    sent = task.model_copy(update={"labels": {f"{value} {names.get(value, '')}": value for value in _up_to(names)}})
    return by_name(read_label(path, image=image, task=sent).mask, names, task)


def by_name(stored: Mask, names: Mapping[int, str], task: Task, *, strict: bool = False) -> Mask:
    """Give the segments of a mask (S, H, W) the values that their names have in the task.

    Args:
        stored: the mask, with the numbers of its segments.
        names: number to name.
        task: names the labels.
        strict: a segment must be called like a label also where the task has one alone: nobody has said that this
            mask is meant for the task.

    Raises:
        BadRequestError: a segment with voxels is not called like a label of the task.
    """
    mask = np.zeros_like(stored)
    present = [int(index) for index in np.unique(stored[stored > 0])]
    if not set(present) <= set(names):
        # 3D Slicer leaves out a segment "background" where it numbers voxels, and not where it numbers names.
        names = dict(enumerate((names[index] for index in sorted(names)), start=1))
    for index in present:
        name = names.get(index, f"#{index}")
        value = _value_of(name, task, strict=strict)
        if value is None:
            raise BadRequestError(
                f"The label has a segment {name[:80]!r}, and task {task.name} has {', '.join(task.label_names)}: "
                "rename the segment, or remove it, and save again."
            )
        mask[stored == index] = value
    return mask


def _raw(path: Path, image: StudyImage) -> Mask:
    """Bare voxels, as OHIF's client sends a label: 8 bits each, the first index fastest."""
    geometry = image.geometry
    shape = geometry.shape if geometry.is_volume else geometry.shape[::-1]
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if content.size != int(np.prod(shape)):
        raise BadRequestError(
            f"The label has {content.size} bytes and the image {int(np.prod(shape))} voxels: send one byte a voxel."
        )
    stored = content.reshape(shape, order="F")
    slices: Mask = geometry.to_slices(stored if geometry.is_volume else stored.T)
    return slices


def save_gold(mask: Mask, *, study: Study, image: StudyImage, root: Path) -> Path:
    """Write a person's label as the gold label of a study; the one it replaces is kept in `labels/earlier`.

    Args:
        mask: (S, H, W) with the task's values.
        study: the study, with the gold label it has so far.
        image: its image.
        root: the studies folder.
    """
    path = root / GOLD_FOLDER / f"{study.image_id}{mask_suffix(image)}"
    if study.gold is not None and study.gold.exists():
        _keep_earlier(study.gold, root)
    write_mask(path, mask, image=image)
    if study.gold is not None and study.gold != path:
        # Of another format, and now among the earlier ones: left here, it would be a second gold label.
        study.gold.unlink(missing_ok=True)
    return path


def _keep_earlier(gold: Path, root: Path) -> None:
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    write_with(root / EARLIER_FOLDER / f"{moment}-{gold.name}", lambda partial: shutil.copyfile(gold, partial))


def _names(label_info: object) -> dict[int, str]:
    """Value in the file to segment name."""
    if not isinstance(label_info, Sequence) or isinstance(label_info, str):
        return {}
    names = {}
    for place, entry in enumerate(label_info, start=1):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            raise BadRequestError('label_info must be a list of {"name": ..., "idx": ...}.')
        names[_index(entry, place)] = entry["name"].strip()
    return names


def _index(entry: Mapping[str, Any], place: int) -> int:
    value = entry.get("idx", place)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 254:
        raise BadRequestError(f"The idx in label_info must be a whole number from 1 to 254, got {str(value)[:40]!r}.")
    return value


def _up_to(names: Mapping[int, str]) -> range:
    return range(1, max(names) + 1)


def _value_of(name: str, task: Task, *, strict: bool) -> int | None:
    if name.casefold() == "background":
        return 0
    for label, value in task.labels.items():
        if label.casefold() == name.casefold():
            return value
    # Slicer calls a segment that a person adds "Segment_1"; with one label there is no doubt what it is.
    return 1 if task.num_labels == 1 and not strict else None
