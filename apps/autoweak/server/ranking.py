"""Which image a person should look at next: doubtful ones first, and of equally doubtful ones the unlike first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoweak.weak_labels import Sidecar, Status, Verdict

# Doubts this near to each other are alike: the quality is not known more exactly.
_BAND = 0.1
# Whether "nothing found" is right only a person can say.
_NOTHING_FOUND = 0.75
_NO_WEAK_LABEL = 0.5
# Describing an image reads and encodes it; further down the list nobody looks today.
_DESCRIBED = 12

Vector = npt.NDArray[np.float32]
Describe = Callable[[str], Vector | None]


@dataclass(frozen=True)
class Ranked:
    """An image in the queue.

    Attributes:
        image_id: which.
        score: what its review is worth, higher first; doubt (0 to 1) plus at most a tenth for being unlike.
        reason: the same for a person to read.
    """

    image_id: str
    score: float
    reason: str


def rank(sidecars: Mapping[str, Sidecar | None], *, known: Sequence[str], describe: Describe) -> list[Ranked]:
    """Order images by what their review is worth.

    Args:
        sidecars: image id to the sidecar of its weak label, None where it has none.
        known: ids of images that are labelled, or in someone's hands.
        describe: image id to a vector that is near for images that look alike; None where it is not known.
    """
    doubts = {image_id: doubt_of(sidecar) for image_id, sidecar in sidecars.items()}
    ordered = sorted(doubts, key=lambda image_id: (-_band(doubts[image_id][0]), image_id))
    first = ordered[:_DESCRIBED]
    reference = [vector for vector in map(describe, known) if vector is not None]
    unlike = {image_id: _distance(describe(image_id), reference) for image_id in first}
    ranked = [_ranked(image_id, doubts[image_id], unlike.get(image_id)) for image_id in ordered]
    return sorted(ranked, key=lambda one: (-one.score, one.image_id))


def doubt_of(sidecar: Sidecar | None) -> tuple[float, str]:
    """How doubtful a weak label is, 0 to 1, and why."""
    if sidecar is None:
        return _NO_WEAK_LABEL, "it has no weak label yet"
    if sidecar.status is Status.NOTHING_FOUND or sidecar.quality is None:
        return _NOTHING_FOUND, "nothing was found in it, which only a person can confirm"
    doubt = 1 - sidecar.quality
    said = {
        Verdict.ACCEPT: "its weak label is probably good",
        Verdict.REVIEW: "its weak label needs a look",
        Verdict.REJECT: "its weak label is probably wrong",
        None: "its weak label was not judged",
    }[sidecar.verdict]
    return doubt, f"{said} (expected Dice {sidecar.quality:.2f})"


def _band(doubt: float) -> float:
    return round(doubt / _BAND) * _BAND


def _distance(vector: Vector | None, reference: Sequence[Vector]) -> float | None:
    """Cosine distance to the nearest reference, 0 to 1."""
    if vector is None or not reference:
        return None
    return float(np.clip(1 - max(float(vector @ other) for other in reference), 0, 1))


def _ranked(image_id: str, doubt: tuple[float, str], unlike: float | None) -> Ranked:
    reason = doubt[1] if unlike is None else f"{doubt[1]}; distance to the nearest labelled image {unlike:.2f}"
    # Below one band, so that it only orders images of equal doubt.
    return Ranked(image_id, round(_band(doubt[0]) + 0.99 * _BAND * (unlike or 0.0), 6), reason)
