"""Dividing images for cross-validation, patients kept together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from autoweak.errors import StudiesError


def folds(
    image_ids: Iterable[str], *, count: int, seed: int, patient_of: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], ...]:
    """Divide images into `count` parts of nearly equal size, all images of a patient in one part.

    The same ids and seed give the same parts, in whatever order the ids come.

    Args:
        image_ids: the images, each once.
        count: number of parts, at least 2.
        seed: of the shuffle.
        patient_of: image id to patient; images it does not name are patients of their own.

    Returns:
        `count` tuples of ids, each sorted, none empty: the held-out images of each fold.

    Raises:
        StudiesError: there are fewer patients than parts.
    """
    known = patient_of or {}
    groups: dict[tuple[bool, str], list[str]] = {}
    for image_id in sorted(set(image_ids)):
        key = (True, known[image_id]) if image_id in known else (False, image_id)
        groups.setdefault(key, []).append(image_id)
    if count < 2 or len(groups) < count:
        msg = (
            f"{count} folds need at least 2 folds and as many patients as folds, got {len(groups)}; label more images."
        )
        raise StudiesError(msg)
    ordered = list(groups.values())
    shuffled = [ordered[index] for index in np.random.default_rng(seed).permutation(len(ordered))]
    parts: list[list[str]] = [[] for _ in range(count)]
    # Largest patients first (the sort keeps the shuffled order of equals), each into the smallest part so far.
    for group in sorted(shuffled, key=len, reverse=True):
        min(parts, key=len).extend(group)
    return tuple(tuple(sorted(part)) for part in parts)
