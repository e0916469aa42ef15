"""Quality: the expected Dice of a weak label, calibrated on gold labels."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autoweak.errors import LabelError
from autoweak.weak_labels.scores import Scores, Unit

Floats = npt.NDArray[np.float64]

FEWEST_GOLD = 8
"""Gold labels of fewer patients cannot tell a sign of quality from chance; nothing is fitted then."""

SIGNS = ("stability", "agreement", "confidence", "sharpness", "symmetry", "contrast")
"""The scores that are fitted. The other two, of the promptable model's own, said nothing beyond these."""

# From little shrinkage to so much that only the mean is left (in units of standardised scores).
_STRENGTHS = (10.0, 30.0, 100.0, 300.0, 1000.0, 1e9)
# How much weaker the signs' common weight is shrunk than their differences.
_COMMON = 0.02
# Errors this near to the least one, as a share of it, are as good; then more shrinkage is the safer choice.
_TIE = 0.05
_LEAST_SPREAD = 0.02  # of a sign on gold; below, all gold labels are alike in it


class QualityModel(BaseModel):
    """Expected Dice from scores: a ridge regression whose weights are never negative, shrunk towards each other.

    A couple of dozen gold labels cannot tell which of the signs counts most, least of all where they are nearly all
    good; so the signs count alike unless the gold labels say otherwise. Better scores never lower the quality, and
    where the scores say nothing about the gold labels' Dice, every weak label gets the gold labels' mean. How strongly
    to shrink is chosen by leaving out one patient at a time. With fewer than `FEWEST_GOLD` it is not calibrated: the
    quality then is the plain mean of predicted IoU, stability and agreement, moved so that on the few gold labels it
    has the mean of their Dice; and no verdict says accept.

    Attributes:
        calibrated: whether gold labels stand behind the numbers.
        gold: number of (gold image, class) pairs fitted.
        mean: mean Dice of those pairs.
        centre, weights: quality = mean + sum(weights * (scores - centre)), cut to 0 to 1.
        signs: names of the scores that centre and weights belong to.
        strength: the chosen shrinkage.
        error: mean absolute error on left-out gold labels.
        mean_error: the same for a model that always says the mean of the others; what `error` must beat.
        shift: what is added to the plain mean without calibration; 0 without any gold.
        absent: how likely each label is truly not in an image in which other labels were found and it was not: by
            Laplace's rule of succession, on the gold images of that kind.

    The coarse maps of gold images must come from networks that never saw them, or the Dice is flattered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    calibrated: bool = False
    gold: int = Field(default=0, ge=0)
    mean: Unit | None = None
    centre: tuple[Unit, ...] | None = None
    weights: tuple[float, ...] | None = None
    # Models of older versions do not say theirs.
    signs: tuple[str, ...] = ("predicted_iou", "stability", "agreement", "confidence")
    strength: float | None = None
    error: float | None = None
    mean_error: float | None = None
    shift: float = Field(default=0.0, ge=-1, le=1)
    absent: tuple[tuple[int, Unit], ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> QualityModel:
        known = {field.name for field in dataclasses.fields(Scores)}
        if not set(self.signs) <= known:
            raise ValueError(f"signs must be among {', '.join(sorted(known))}")
        if any(values is not None and len(values) != len(self.signs) for values in (self.centre, self.weights)):
            raise ValueError("centre and weights must have one number for each of the signs")
        return self

    @classmethod
    def fit(
        cls, scores: Sequence[Scores], dice: Sequence[float], *, groups: Sequence[int] | None = None
    ) -> QualityModel:
        """Fit on gold labels.

        Args:
            scores: of weak labels made of gold images, one for each image and class.
            dice: of the same against the gold label, 0 to 1.
            groups: which patient each belongs to, for the classes of an image and the images of a patient are not
                independent and are left out together; None where each is of a patient of its own.

        Raises:
            LabelError: they differ in length, or a Dice is not within 0 to 1.
        """
        target = np.asarray(dice, dtype=np.float64)
        group = np.arange(len(target)) if groups is None else np.asarray(groups)
        same = len(scores) == len(target) == len(group)
        if not same or not bool(np.all((target >= 0) & (target <= 1))):
            raise LabelError(
                f"Quality is calibrated on one Dice from 0 to 1 for each set of scores; got {len(scores)} sets "
                f"of scores and {len(target)} numbers: pass the two lists of the same gold labels."
            )
        if len(np.unique(group)) < FEWEST_GOLD:
            plain = [_plain(one) for one in scores]
            return cls(gold=len(target), shift=float(np.mean(target - plain)) if len(target) else 0.0)
        features = np.array([_signs(one, SIGNS) for one in scores], dtype=np.float64)
        strength = _best_strength(features, target, group)
        centre, weights = _ridge(features, target, strength)
        return cls(
            calibrated=True,
            gold=len(target),
            mean=float(target.mean()),
            centre=tuple(map(float, centre)),
            weights=tuple(map(float, weights)),
            signs=SIGNS,
            strength=strength,
            error=_left_out_error(features, target, group, strength),
            mean_error=_left_out_error(features, target, group, _STRENGTHS[-1]),
        )

    def predict(self, scores: Scores) -> float:
        """The expected Dice, 0 to 1; without calibration the plain mean of three signs, as high as gold's on gold."""
        if not self.calibrated or self.mean is None or self.centre is None or self.weights is None:
            return min(1.0, max(0.0, _plain(scores) + self.shift))
        differences = zip(self.weights, _signs(scores, self.signs), self.centre, strict=True)
        return min(1.0, max(0.0, self.mean + sum(weight * (one - middle) for weight, one, middle in differences)))

    def predict_absent(self, label: int) -> float:
        """The expected Dice of a label that was not found where others were; 1/2 where gold has no such case."""
        return dict(self.absent).get(label, 0.5)

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


def _plain(scores: Scores) -> float:
    return (scores.predicted_iou + scores.stability + scores.agreement) / 3


def _signs(scores: Scores, names: Sequence[str]) -> tuple[float, ...]:
    return tuple(float(getattr(scores, name)) for name in names)


def _best_strength(features: Floats, target: Floats, groups: npt.NDArray[np.integer[Any]]) -> float:
    errors = {one: _left_out_error(features, target, groups, one, squared=True) for one in _STRENGTHS}
    least = min(errors.values())
    return max(one for one, error in errors.items() if error <= least * (1 + _TIE))


def _ridge(features: Floats, target: Floats, strength: float) -> tuple[Floats, Floats]:
    """Centre and weights, in the scores' own units, of a ridge regression without negative weights.

    What is shrunk is how far the weights (of standardised scores) are from their mean, and a little that mean itself.
    """
    from scipy.optimize import nnls  # slow to import, and needed by fitting alone

    count = features.shape[1]
    centre = features.mean(axis=0)
    spread = np.maximum(features.std(axis=0), _LEAST_SPREAD)
    apart = np.sqrt(strength) * (np.eye(count) - 1 / count)
    common = np.full((1, count), np.sqrt(strength * _COMMON / count))
    rows = np.vstack([(features - centre) / spread, apart, common])
    solution, _ = nnls(rows, np.concatenate([target - target.mean(), np.zeros(count + 1)]))
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


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    return f"{'.'.join(str(part) for part in problem['loc']) or 'it'}: {problem['msg']}"
