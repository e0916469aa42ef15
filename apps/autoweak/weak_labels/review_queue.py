"""The review queue: which image a person should look at next.

A model learns best from labels whose mixture is that of the images it will meet. So the next image is the one that
brings the labelled images nearest to all images of these studies (kernel herding, Chen 2010). In that mixture an image
counts most where its weak label is half doubtful: little is learned from what the model can do already, and as little
from what nobody can do anything with. The first images of the queue are

- *typical*: with few labels an outlier, or an image that shows nothing, teaches nothing about the others (Hacohen
  2022);
- *diverse*, also within the batch that is reviewed between two trainings: once one of a kind is labelled or in
  someone's hands, the next one comes from elsewhere (as for core-sets: Sener 2018), but a common kind comes more often;
- *open*: of those that are equally typical and new, the ones that may be right or wrong (as in Yang 2017, who asks for
  what is uncertain and stands for the rest).

Two images are alike on the scale of the distances between all images of these studies. An image that is not described
is like itself alone; if none is, the half doubtful ones come first.

Simulated reviews show no gain over random order; see docs/review_queue.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from autoweak.weak_labels.herding import Floats, herd
from autoweak.weak_labels.looks import Vector
from autoweak.weak_labels.verdict import Status, Verdict

# Whether "nothing found" is right only a person can say.
_NOTHING_FOUND = 0.75
_NO_WEAK_LABEL = 0.5
# What an image without any doubt counts against a half doubtful one: the model will meet it too.
_LEAST = 0.25
# So many are compared, those that count most, and the others follow: a client waits for it.
_COMPARED = 1000
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
        score: its place in the queue, from 1 for the first down to above 0 for the last.
        reason: what is known about its weak label, for a person to read.
    """

    image_id: str
    score: float
    reason: str


def review_order(waiting: Mapping[str, Judged | None], *, known: Sequence[str], describe: Describe) -> list[Ranked]:
    """Order images by what their review is worth; the same input gives the same order, and ties go by id.

    Args:
        waiting: image id to weak label, None where there is none.
        known: ids of images that are labelled, or in someone's hands; of the latter those that also wait come last.
        describe: image id to a vector (D,) that is near for images that look alike; None where it is not known. Asked
            for known images first, then for those that wait, those that count most first.
    """
    doubts = {image_id: doubt_of(judged) for image_id, judged in waiting.items()}
    weights = {**dict.fromkeys(known, _weight(0.0)), **{key: _weight(doubt) for key, (doubt, _) in doubts.items()}}
    taken = set(known)
    by_weight = sorted(doubts, key=lambda image_id: (-weights[image_id], image_id))
    free = [image_id for image_id in by_weight if image_id not in taken]
    vectors = {image_id: describe(image_id) for image_id in (*sorted(taken), *free[:_COMPARED])}
    order = [*_herded(vectors, weights, taken), *free[_COMPARED:], *(one for one in by_weight if one in taken)]
    count = len(order)
    return [
        Ranked(image_id, round((count - place) / count, 6), doubts[image_id][1]) for place, image_id in enumerate(order)
    ]


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


def _weight(doubt: float) -> float:
    """What an image counts: the variance of what is wrong with the probability `doubt`, and a bit for all."""
    return _LEAST + (1 - _LEAST) * 4 * doubt * (1 - doubt)


def _herded(vectors: Mapping[str, Vector | None], weights: Mapping[str, float], taken: set[str]) -> list[str]:
    """The ids that are not taken, in the order in which they make the taken ones most like all."""
    # By weight and then by id, so that of equally good images the one that counts more is chosen.
    ids = sorted(vectors, key=lambda image_id: (-weights[image_id], image_id))
    similarity = np.eye(len(ids))
    places = [place for place, image_id in enumerate(ids) if vectors[image_id] is not None]
    if places:
        from scipy.spatial.distance import cdist  # slow to import

        found = np.stack([vector for place in places if (vector := vectors[ids[place]]) is not None])
        similarity[np.ix_(places, places)] = _similarity(cdist(found, found, "sqeuclidean"))
    order = herd(
        np.array([weights[image_id] for image_id in ids], np.float64),
        similarity,
        taken=np.array([image_id in taken for image_id in ids], bool),
    )
    return [ids[place] for place in order]


def _similarity(squared: Floats) -> Floats:
    """From squared distances (N, N) to similarities, 0 to 1: exp(-1/2) at the median distance."""
    apart = squared[squared > _SAME]
    scale = float(np.median(apart)) if apart.size else 1.0
    return np.asarray(np.exp(-squared / (2 * scale)))
