"""Which images DICOM files hold: a volume, one picture, or several (films, and series of still pictures)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from autoweak.errors import ImageError
from autoweak.studies import dicom
from autoweak.studies.dicom_frames import have_positions

# An hour of ultrasound has as many; a header that says more is damaged, or means harm.
MOST_FRAMES = 100_000
# Not a dot, which would make of a series' UID another one that is as good.
_JOINT = "-"
_TAGS = (
    "SOPInstanceUID",
    "InstanceNumber",
    "NumberOfFrames",
    "ImagePositionPatient",
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
)


@dataclass(frozen=True)
class Instance:
    """What a header says about the images in one DICOM instance.

    Attributes:
        uid: SOP instance UID.
        number: instance number, 0 if there is none.
        frames: how many frames it has.
        placed: whether it, or its frames, have positions in space.
    """

    uid: str
    number: int
    frames: int
    placed: bool


@dataclass(frozen=True)
class Picture:
    """One picture among those of a file or series.

    Attributes:
        index: of its instance.
        frame: number of its frame, from 1; None in an instance of one frame.
        suffix: what its id has after the id of the file or series; "" where it is the only picture.
    """

    index: int
    frame: int | None = None
    suffix: str = ""


def instance_of(header: Any) -> Instance:
    """Read what `split` needs from a DICOM header; `faults` of what is damaged are the caller's."""
    return Instance(
        uid=str(header.get("SOPInstanceUID", "")),
        number=int(header.get("InstanceNumber") or 0),
        frames=int(header.get("NumberOfFrames") or 1),
        placed=bool(header.get("ImagePositionPatient")) or have_positions(header),
    )


def split(instances: Sequence[Instance]) -> tuple[Picture, ...]:
    """Divide the instances of a series, or of one file, into pictures.

    Stills are told apart by their instance number ("-3"), frames of a film by theirs ("-17"), and frames in a series
    of several instances by both ("-3-17"). Where instance numbers are missing or double, places in order of the SOP
    instance UIDs are taken instead.

    Returns:
        the pictures; none where instances or frames have positions in space, and make up a volume.
    """
    several = len(instances) > 1
    if any(one.placed and (several or one.frames > 1) for one in instances):
        return ()
    pictures = []
    for index, number in enumerate(_numbers(instances)):
        frames = instances[index].frames
        if not 1 <= frames <= MOST_FRAMES:
            return ()
        own = f"{_JOINT}{number}" if several else ""
        if frames == 1:
            pictures.append(Picture(index, None, own))
        else:
            pictures += [Picture(index, frame, f"{own}{_JOINT}{frame}") for frame in range(1, frames + 1)]
    return tuple(pictures)


def pictures_in(paths: Sequence[Path]) -> tuple[Picture, ...]:
    """Divide DICOM files of one series into pictures, see `split`; headers are read once and remembered.

    Returns:
        the pictures, `index` counting in `paths`; none for a volume, or where a header cannot be read (the reader then
        says why).
    """
    try:
        return split([_instance(path) for path in paths])
    except (ImageError, OSError):
        return ()


def is_slice(path: Path) -> bool:
    """Whether a DICOM file is one slice of a volume."""
    try:
        instance = _instance(path)
    except (ImageError, OSError):
        return False
    return instance.placed and instance.frames == 1


def _numbers(instances: Sequence[Instance]) -> list[int]:
    numbers = [one.number for one in instances]
    if len(set(numbers)) == len(numbers) and min(numbers, default=1) > 0:
        return numbers
    ordered = sorted(range(len(instances)), key=lambda index: (instances[index].uid, index))
    return [ordered.index(index) + 1 for index in range(len(instances))]


def _instance(path: Path) -> Instance:
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=100_000)
def _read(path: Path, _changed: int, _size: int) -> Instance:
    import pydicom

    with dicom.faults():
        return instance_of(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS)))
