"""Quality: the expected Dice of a weak label, calibrated on gold labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autoweak.errors import LabelError
from autoweak.weak_labels.scores import Scores, Unit

Floats = npt.NDArray[np.float64]

FEWEST_GOLD = 8
"""Fewer gold labels than this cannot tell a sign of quality from chance; nothing is fitted then."""

# From hardly any shrinkage to so much that only the mean is left (in units of standardised scores).
_STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 1e6)
_FEATURES = ("predicted_iou", "stability", "agreement", "confidence")


class QualityModel(BaseModel):
    """Expected Dice from scores: a ridge regression whose weights are never negative, shrunk to the mean.

    Better scores never lower the quality, and where the scores say nothing about the gold labels'
    Dice, every weak label gets the gold labels' mean. How strongly to shrink is chosen by leaving out
    one gold image at a time. With fewer than `FEWEST_GOLD` it is not calibrated: the quality then is the
    plain mean of predicted IoU, stability and agreement, and no verdict says accept.

    Attributes:
        calibrated: whether gold labels stand behind the numbers.
        gold: number of (gold image, class) pairs fitted.
        mean: mean Dice of those pairs.
        centre, weights: quality = mean + sum(weights * (scores - centre)), cut to 0 to 1.
        strength: the chosen shrinkage.
        error: mean absolute error on left-out gold labels.
        mean_error: the same for a model that always says the mean of the others; what `error` must beat.

    The coarse maps of gold images must come from networks that never saw them, or the Dice is flattered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    calibrated: bool = False
    gold: int = Field(default=0, ge=0)
    mean: Unit | None = None
    centre: tuple[Unit, Unit, Unit, Unit] | None = None
    weights: tuple[float, float, float, float] | None = None
    strength: float | None = None
    error: float | None = None
    mean_error: float | None = None

    @classmethod
    def fit(
        cls, scores: Sequence[Scores], dice: Sequence[float], *, images: Sequence[int] | None = None
    ) -> QualityModel:
        """Fit on gold labels.

        Args:
            scores: of weak labels made of gold images, one for each image and class.
            dice: of the same against the gold label, 0 to 1.
            images: which image each belongs to, for the classes of one image are not independent and are left
                out together; None where each is of an image of its own.

        Raises:
            LabelError: they differ in length, or a Dice is not within 0 to 1.
        """
        target = np.asarray(dice, dtype=np.float64)
        groups = np.arange(len(target)) if images is None else np.asarray(images)
        same = len(scores) == len(target) == len(groups)
        if not same or not bool(np.all((target >= 0) & (target <= 1))):
            raise LabelError(
                f"Quality is calibrated on one Dice from 0 to 1 for each set of scores; got {len(scores)} sets "
                f"of scores and {len(target)} numbers: pass the two lists of the same gold labels."
            )
        if len(np.unique(groups)) < FEWEST_GOLD:
            return cls(gold=len(target))
        features = np.array([one.as_tuple() for one in scores], dtype=np.float64)
        strength = min(_STRENGTHS, key=lambda one: _left_out_error(features, target, groups, one, squared=True))
        centre, weights = _ridge(features, target, strength)
        return cls(
            calibrated=True,
            gold=len(target),
            mean=float(target.mean()),
            centre=_four(centre),
            weights=_four(weights),
            strength=strength,
            error=_left_out_error(features, target, groups, strength),
            mean_error=_left_out_error(features, target, groups, _STRENGTHS[-1]),
        )

    def predict(self, scores: Scores) -> float:
        """The expected Dice, 0 to 1; without calibration the mean of predicted IoU, stability and agreement."""
        if not self.calibrated or self.mean is None or self.centre is None or self.weights is None:
            return (scores.predicted_iou + scores.stability + scores.agreement) / 3
        differences = zip(self.weights, scores.as_tuple(), self.centre, strict=True)
        return min(1.0, max(0.0, self.mean + sum(weight * (one - middle) for weight, one, middle in differences)))

    @property
    def sha256(self) -> str:
        """Of the model's canonical JSON."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> QualityModel:
        """The reverse of `to_dict`.

        Raises:
            LabelError: a field is missing, unknown or not valid.
        """
        try:
            return cls.model_validate(dict(fields))
        except (ValidationError, TypeError, ValueError) as error:
            raise LabelError(f"The quality model cannot be read ({_first(error)}): fit it again.") from error


def _ridge(features: Floats, target: Floats, strength: float) -> tuple[Floats, Floats]:
    """Centre and weights, in the scores' own units, of a ridge regression without negative weights."""
    from scipy.optimize import nnls  # slow to import, and needed by fitting alone

    centre = features.mean(axis=0)
    spread = np.maximum(features.std(axis=0), 1e-3)
    standard = (features - centre) / spread
    rows = np.vstack([standard, np.sqrt(strength) * np.eye(features.shape[1])])
    solution, _ = nnls(rows, np.concatenate([target - target.mean(), np.zeros(features.shape[1])]))
    return centre, solution / spread


def _left_out_error(
    features: Floats, target: Floats, groups: npt.NDArray[np.integer[Any]], strength: float, *, squared: bool = False
) -> float:
    """Mean error (absolute or squared) on each gold image's labels when fitted on the other images'."""
    errors = np.empty(len(target))
    for group in np.unique(groups):
        left_out = groups == group
        centre, weights = _ridge(features[~left_out], target[~left_out], strength)
        expected = target[~left_out].mean() + (features[left_out] - centre) @ weights
        errors[left_out] = np.abs(np.clip(expected, 0.0, 1.0) - target[left_out])
    return float(np.mean(np.square(errors) if squared else errors))


def _four(values: Floats) -> tuple[float, float, float, float]:
    first, second, third, fourth = (float(value) for value in values)
    return first, second, third, fourth


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    return f"{'.'.join(str(part) for part in problem['loc']) or 'it'}: {problem['msg']}"
