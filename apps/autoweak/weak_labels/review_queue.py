"""The review queue: which image a person should look at next, so that the loop learns fastest.

A review is worth what it tells about all images that wait, not about its own alone. An image whose weak label is
doubtful is *open*; a labelled image closes what looks like it, the more the more alike. The next image is the one that
closes most: the greedy choice of facility location, with the doubts as weights. So

- *doubtful* images come before those whose weak label is probably good;
- *typical* images come before outliers, which tell about nothing but themselves (with few labels that is what counts:
  Hacohen 2022);
- *diverse* images come one after the other, also within the batch that is reviewed between two trainings: once one of
  a group is in someone's hands, the others of the group are worth little (core-sets: Sener 2018; doubtful images that
  cover the rest: Yang 2017).

There is nothing to set: two images are alike on the scale of the distances between all images of these studies. An
image that is not described closes itself alone; if none is, the lowest quality comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from autoweak.weak_labels.coverage import Floats, greedy_cover, squared_distances
from autoweak.weak_labels.looks import Vector
from autoweak.weak_labels.verdict import Status, Verdict

# Whether "nothing found" is right only a person can say.
_NOTHING_FOUND = 0.75
_NO_WEAK_LABEL = 0.5
# So many are compared, the most doubtful ones: the table of similarities stays at 16 MB and a second.
_COMPARED = 2000
# So many are chosen one after the other; before they are reviewed, there is a new model and a new queue.
_CHOSEN = 24
# Images are alike (exp(-1/2) = 0.61) at this share of the median distance between two images.
_ALIKE = 0.5
# Squared distances of unit vectors below this are rounding.
_SAME = 1e-6

Describe = Callable[[str], Vector | None]


class Judged(Protocol):
    """What the queue reads of a weak label or its sidecar."""

    @property
    def status(self) -> Status:
        """Labelled or nothing found."""

    @property
    def quality(self) -> float | None:
        """Expected Dice, 0 to 1; None if nothing was found."""

    @property
    def verdict(self) -> Verdict | None:
        """Verdict; None if nothing was found."""


@dataclass(frozen=True)
class Ranked:
    """An image in the queue.

    Attributes:
        image_id: which.
        score: what its review is worth, higher first: the doubt it closes, its own (0 to 1) and that of images like it.
        reason: the same for a person to read.
    """

    image_id: str
    score: float
    reason: str


def review_order(waiting: Mapping[str, Judged | None], *, known: Sequence[str], describe: Describe) -> list[Ranked]:
    """Order images by what their review is worth; the same input gives the same order, and ties go by id.

    Args:
        waiting: image id to weak label, None where there is none.
        known: ids of images that are labelled, or in someone's hands.
        describe: image id to a vector (D,) that is near for images that look alike; None where it is not known. Asked
            for known images first, then for those that wait, the most doubtful first.
    """
    doubts = {image_id: doubt_of(judged) for image_id, judged in waiting.items()}
    ordered = sorted(doubts, key=lambda image_id: (-doubts[image_id][0], image_id))
    reference = [vector for vector in map(describe, sorted(set(known))) if vector is not None]
    found = {image_id: describe(image_id) for image_id in ordered[:_COMPARED]}
    vectors = {image_id: vector for image_id, vector in found.items() if vector is not None}
    worth = _worth(vectors, reference, {image_id: doubt for image_id, (doubt, _) in doubts.items()})
    ranked = [
        Ranked(image_id, round(worth.get(image_id, doubt), 6), _reason(said, doubt, worth.get(image_id)))
        for image_id, (doubt, said) in doubts.items()
    ]
    return sorted(ranked, key=lambda one: (-one.score, one.image_id))


def doubt_of(judged: Judged | None) -> tuple[float, str]:
    """How doubtful a weak label is, 0 to 1, and why."""
    if judged is None:
        return _NO_WEAK_LABEL, "it has no weak label yet"
    if judged.status is Status.NOTHING_FOUND or judged.quality is None:
        return _NOTHING_FOUND, "nothing was found in it, which only a person can confirm"
    said = {
        Verdict.ACCEPT: "its weak label is probably good",
        Verdict.REVIEW: "its weak label needs a look",
        Verdict.REJECT: "its weak label is probably wrong",
        None: "its weak label was not judged",
    }[judged.verdict]
    return 1 - judged.quality, f"{said} (expected Dice {judged.quality:.2f})"


def _worth(vectors: Mapping[str, Vector], reference: Sequence[Vector], doubts: Mapping[str, float]) -> dict[str, float]:
    """What reviewing each described image closes after those before it were reviewed."""
    if not vectors:
        return {}
    # By id, so that of equal gains the first id is chosen.
    ids = sorted(vectors)
    own = np.stack([vectors[image_id] for image_id in ids]).astype(np.float32)
    both = np.concatenate([own, np.stack(reference)]).astype(np.float32) if reference else own
    similarity = _similarity(squared_distances(own, both))
    among, to_known = similarity[:, : len(ids)], similarity[:, len(ids) :]
    np.fill_diagonal(among, 1.0)
    weights = np.array([doubts[image_id] for image_id in ids], np.float32)
    chosen = greedy_cover(weights, among, to_known.max(axis=1, initial=0.0), count=_CHOSEN)
    return {ids[index]: gain for index, gain in chosen}


def _similarity(squared: Floats) -> Floats:
    """From squared distances (N, M) to similarities, 0 to 1, on the scale of the median distance."""
    apart = squared[squared > _SAME]
    scale = _ALIKE**2 * float(np.median(apart)) if apart.size else 1.0
    return np.asarray(np.exp(-squared / (2 * scale)), np.float32)


def _reason(said: str, doubt: float, worth: float | None) -> str:
    """The doubt in words, and how many images' doubts beside its own the review closes."""
    others = 0 if worth is None or doubt <= 0 else round(worth / doubt - 1)
    return said if others < 1 else f"{said}; it also stands for about {others} more that wait"
