"""What the numbers of a mask file mean: label values, however a tool has written them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoweak.errors import LabelError
from autoweak.studies.geometry import Array

_SHOWN = 6
_PART = 1 << 24
# White in an 8-bit mask, also where JPEG has dimmed it; numbers of objects or organs seldom get here.
_BRIGHT = 128


def decode(stored: Array, labels: tuple[str, ...], *, volume: bool) -> tuple[npt.NDArray[np.uint8], str | None]:
    """Turn stored mask values into label values 0..K.

    With one label, whatever is not 0 is the label (0/1, 0/255, an instance number); only where the values show a
    smoothed or JPEG-compressed edge between two levels is the label what exceeds half the largest. A volume with
    several values is refused then: it most likely holds other organs too, of which each has its own value.
    With K labels, the values are 0..K, or in pictures K grey levels in even steps (85, 170, 255), counted in order.

    Args:
        stored: any shape, any real type.
        labels: the task's label names, in order of value.
        volume: whether the image is a volume.

    Returns:
        the mask, uint8, of the same shape; a sentence if the values had to be interpreted.

    Raises:
        LabelError: there are values that belong to no label (the sentence lacks the file's name).
    """
    values, counts = _counted(stored)
    if values.size and (values[0] < 0 or not np.isfinite(values).all()):
        wrong = values[~np.isfinite(values) | (values < 0)]
        msg = f"it holds values that are no labels ({_listed(wrong)}); save labels as 0 to {len(labels)}"
        raise LabelError(msg)
    seen, counts = values[values > 0], counts[values > 0]
    whole = bool((seen == np.rint(seen)).all())
    if len(labels) > 1 or (volume and whole and len(seen) > 1):
        return _decode_many(stored, seen, labels, volume=volume)
    if whole and not _is_smoothed(seen, counts):
        return (stored > 0).astype(np.uint8), None
    note = "Its grey values were cut at half the largest, since they show a smoothed edge."
    return (stored > seen[-1] / 2).astype(np.uint8), note


def _counted(stored: Array) -> tuple[Array, Array]:
    """The values of an array in ascending order, and how often each occurs."""
    if stored.dtype.kind not in "iu" or not stored.size or stored.min() < 0 or stored.max() > np.iinfo(np.uint16).max:
        return np.unique(stored, return_counts=True)
    # Without sorting, and a part at a time: a CT of 500 slices has a hundred million voxels.
    counts = np.zeros(1 << 16, dtype=np.int64)
    flat = stored.ravel()
    for start in range(0, flat.size, _PART):
        counts += np.bincount(flat[start : start + _PART], minlength=counts.size)
    values = np.flatnonzero(counts)
    return values, counts[values]


def _is_smoothed(seen: Array, counts: Array) -> bool:
    """Tell two levels with an edge between them from instance numbers, of which each means the object."""
    if len(seen) <= 2 or seen[-1] < _BRIGHT:
        return False
    largest = float(seen[-1])
    at_ends = counts[(seen <= largest / 8) | (seen >= largest * 7 / 8)].sum()
    numbered = len(seen) == largest
    return bool(at_ends >= 0.8 * counts.sum()) or (len(seen) > 8 and not numbered)


def _decode_many(
    stored: Array, seen: Array, labels: tuple[str, ...], *, volume: bool
) -> tuple[npt.NDArray[np.uint8], str | None]:
    count = len(labels)
    foreign = seen[~np.isin(seen, np.arange(1, count + 1))]
    if foreign.size == 0:
        return stored.astype(np.uint8), None
    if not volume and _is_grey_code(seen, count):
        note = f"Its grey values {_listed(seen)} were read as the labels 1 to {count} in this order."
        return np.searchsorted(seen, stored, side="right").astype(np.uint8), note
    names = ", ".join(f"{value} {name}" for value, name in enumerate(labels, start=1))
    cause = "; it looks smoothed or JPEG-compressed" if foreign.size > _SHOWN and not volume else ""
    msg = f"it holds values that are not in the task ({_listed(foreign)}){cause}; save labels as 0 background, {names}"
    raise LabelError(msg)


def _is_grey_code(seen: Array, count: int) -> bool:
    if len(seen) != count or seen[0] < 32:
        return False
    step = float(seen[-1]) / count
    return bool((np.abs(seen - step * np.arange(1, count + 1)) <= 0.1 * step).all())


def _listed(values: Array) -> str:
    shown = ", ".join(f"{float(value):g}" for value in values[:_SHOWN])
    return f"{shown} and {values.size - _SHOWN} more" if values.size > _SHOWN else shown
