"""What is to be done with a weak label: verdicts, and the rule that gives them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from autoweak.errors import LabelError


class Verdict(str, Enum):
    """What a weak label is good for. The value is what is stored."""

    ACCEPT = "accept"
    REVIEW = "review"
    REJECT = "reject"


class Status(str, Enum):
    """Whether an image got a weak label. The value is what is stored."""

    LABELLED = "labelled"
    NOTHING_FOUND = "nothing found"


@dataclass(frozen=True)
class VerdictRule:
    """From quality to verdict.

    Attributes:
        accept: quality from which a label is good without a look, if the quality is calibrated. At a Dice
            of 0.8 the wrong pixels (missed and added) are half as many as the rightly found ones.
        reject: quality below which a label is not worth correcting: at a Dice of 0.5 the wrong pixels are
            twice as many as the rightly found ones.
        most_foreground: a mask in which one class covers more than this fraction is rejected (S1's filter:
            the promptable model has taken the whole image for the object). 1 turns it off.
        least_foreground: a mask covering less than this fraction is rejected. Off by default: S1's 3 % would
            throw away a quarter of its own gold labels, small lesions all of them.
    """

    accept: float = 0.8
    reject: float = 0.5
    most_foreground: float = 0.97
    least_foreground: float = 0.0

    def __post_init__(self) -> None:
        """Refuse limits that contradict each other."""
        if not 0 <= self.reject <= self.accept <= 1:
            raise LabelError(
                f"The verdict's limits need 0 <= reject <= accept <= 1; got reject {self.reject!r} and "
                f"accept {self.accept!r}."
            )
        if not 0 <= self.least_foreground < self.most_foreground <= 1:
            raise LabelError(
                f"The verdict's limits need 0 <= least_foreground < most_foreground <= 1; got "
                f"{self.least_foreground!r} and {self.most_foreground!r}."
            )

    def judge(
        self, qualities: Iterable[float], *, calibrated: bool, largest_share: float, foreground: float
    ) -> Verdict:
        """The verdict on a mask is that on its worst class.

        Args:
            qualities: expected Dice of each class, 0 to 1; at least one.
            calibrated: False never accepts: a quality that no gold label confirms deserves a look.
            largest_share: fraction of the image that its largest class covers.
            foreground: fraction of the image that all classes cover together.
        """
        worst = min(qualities)
        extreme = largest_share > self.most_foreground or foreground < self.least_foreground
        if extreme or worst < self.reject:
            return Verdict.REJECT
        return Verdict.ACCEPT if calibrated and worst >= self.accept else Verdict.REVIEW
