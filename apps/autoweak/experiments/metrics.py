"""How well masks agree with the truth: Dice, IoU and HD95 an image, their summary, and two arms compared."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autoweak.errors import AutoweakError

if TYPE_CHECKING:
    import torch

Mask = NDArray[np.integer[Any]]


class MetricsError(AutoweakError):
    """Masks or values do not fit together as a comparison needs."""


@dataclass(frozen=True)
class LabelScore:
    """How well one label of one image agrees with the truth.

    Attributes:
        label: value in the mask.
        dice: 0..1; 1 where both masks lack the label, 0 where one of them does.
        iou: 0..1, by the same rule.
        hd95: 95th percentile of the surface distances, both ways, in units of `spacing`; None where it was not
            asked for or one of the masks lacks the label, 0 where both do.
    """

    label: int
    dice: float
    iou: float
    hd95: float | None = None


@dataclass(frozen=True)
class ImageScore:
    """How well a mask agrees with the truth, label by label.

    Attributes:
        image_id: the image.
        labels: one entry a label, in the order they were asked for.
    """

    image_id: str
    labels: tuple[LabelScore, ...]

    @property
    def dice(self) -> float:
        """Mean Dice over the labels, 0..1."""
        return float(np.mean([score.dice for score in self.labels]))

    @property
    def iou(self) -> float:
        """Mean IoU over the labels, 0..1."""
        return float(np.mean([score.iou for score in self.labels]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        labels = [asdict(score) for score in self.labels]
        return {"image_id": self.image_id, "dice": self.dice, "iou": self.iou, "labels": labels}


@dataclass(frozen=True)
class Summary:
    """Mean and median of some values, with a confidence interval of the mean.

    Attributes:
        count: how many values.
        mean: their mean.
        median: their median.
        low: lower end of the interval.
        high: upper end of the interval.
        confidence: how often such an interval holds the true mean, 0..1.
    """

    count: int
    mean: float
    median: float
    low: float
    high: float
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """Two arms on the same images: second minus first.

    Attributes:
        difference: summary of the differences, image by image.
        wins: images on which the second arm is higher.
        losses: images on which it is lower.
        ties: images on which both are the same.
        p_value: two-sided Wilcoxon signed-rank test; None where no difference is left to rank.
    """

    difference: Summary
    wins: int
    losses: int
    ties: int
    p_value: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Trust:
    """How far a quality tells the true Dice.

    Attributes:
        count: images that hold something.
        rank_correlation: Spearman's, of quality and Dice on these; None where either is the same throughout.
        bad: of these, images with a Dice below `BAD_DICE`.
        roc_area: area under the ROC curve of finding those by low quality; None where all or none are bad.
        empty: images whose truth is empty.
        set_aside: of these, those in which nothing was found or whose weak label was rejected.
    """

    count: int
    rank_correlation: float | None
    bad: int
    roc_area: float | None
    empty: int
    set_aside: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


BAD_DICE = 0.5
"""Below it the wrong pixels are more than twice as many as the rightly found ones."""


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, -1 to 1; None where one of them is the same throughout."""
    from scipy.stats import spearmanr

    if len(first) < 2 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(spearmanr(first, second)[0])


def roc_area(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """How often a positive has the lower score than a negative, ties half, 0 to 1: the area under the ROC curve.

    It is the Mann-Whitney statistic of all pairs (Hanley and McNeil 1982). None where all or none are positive.
    """
    from scipy.stats import mannwhitneyu

    low = [score for score, is_positive in zip(scores, positive, strict=True) if is_positive]
    high = [score for score, is_positive in zip(scores, positive, strict=True) if not is_positive]
    if not low or not high:
        return None
    return float(mannwhitneyu(high, low).statistic) / (len(low) * len(high))


def score_image(
    predicted: Mask,
    truth: Mask,
    *,
    labels: Sequence[int],
    image_id: str = "",
    spacing: Sequence[float] | None = None,
    hausdorff: bool = False,
) -> ImageScore:
    """Compare a mask with the truth, label by label.

    Args:
        predicted: (S, H, W) label values; a volume is compared as a whole, not slice by slice.
        truth: (S, H, W) label values.
        labels: label values to compare.
        image_id: the image, for the record.
        spacing: (between slices, between rows, between columns), in mm for HD95 in mm; pixels where None.
        hausdorff: also compute HD95, which takes much longer than the rest.

    Raises:
        MetricsError: the masks have other shapes than each other, or no label is given.
    """
    if predicted.shape != truth.shape or predicted.ndim != 3:
        msg = f"A mask of shape {predicted.shape} cannot be compared with a truth of shape {truth.shape}; "
        raise MetricsError(msg + "give both as (slices, rows, columns) of one image.")
    if not labels:
        msg = "A comparison was asked for with no labels; name at least one label value."
        raise MetricsError(msg)
    scores = tuple(
        _score_label(predicted == label, truth == label, label=label, spacing=spacing, hausdorff=hausdorff)
        for label in labels
    )
    return ImageScore(image_id=image_id, labels=scores)


def summarise(values: Sequence[float], *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Summary:
    """Mean, median and the percentile bootstrap interval of the mean; the same seed gives the same interval.

    Raises:
        MetricsError: there are no values, or one is not finite.
    """
    found = np.asarray(values, np.float64)
    if found.size == 0 or not np.isfinite(found).all():
        msg = f"A summary needs at least one value and finite ones only, and got {found.size} values; "
        raise MetricsError(msg + "leave out the images that have none.")
    means = _bootstrap_means(found, resamples=resamples, seed=seed)
    low, high = np.quantile(means, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Summary(
        count=int(found.size),
        mean=float(found.mean()),
        median=float(np.median(found)),
        low=float(low),
        high=float(high),
        confidence=confidence,
    )


def compare(
    first: Mapping[str, float], second: Mapping[str, float], *, confidence: float = 0.95, seed: int = 0
) -> Comparison:
    """Compare two arms image by image: mean difference (second minus first), its interval, Wilcoxon's test.

    Args:
        first: image id to value.
        second: image id to value, for the same images.
        confidence: of the interval, 0..1.
        seed: of the bootstrap.

    Raises:
        MetricsError: the arms do not hold the same images, or hold none.
    """
    if first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())
        msg = f"The arms to compare differ in {len(odd)} images, {odd[0]!r} among them; score both on the same images."
        raise MetricsError(msg)
    # Rounding of sums must not turn a tie into a win: float noise is far below this, one pixel far above.
    differences = np.round([second[image_id] - first[image_id] for image_id in sorted(first)], 9)
    return Comparison(
        difference=summarise([float(value) for value in differences], confidence=confidence, seed=seed),
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
        ties=int((differences == 0).sum()),
        p_value=_wilcoxon(differences),
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for how many there are, step by step from the smallest (Holm 1979); None stays None."""
    known = sorted((value, index) for index, value in enumerate(p_values) if value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (value, index) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - rank)))
        corrected[index] = highest
    return corrected


def _score_label(
    predicted: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    *,
    label: int,
    spacing: Sequence[float] | None,
    hausdorff: bool,
) -> LabelScore:
    # Counted in whole numbers: exact in volumes of any size, where sums of float32 stop being so at 2**24 voxels.
    common = int(np.count_nonzero(predicted & truth))
    total = int(np.count_nonzero(predicted)) + int(np.count_nonzero(truth))
    return LabelScore(
        label=label,
        dice=2 * common / total if total else 1.0,
        iou=common / (total - common) if total else 1.0,
        hd95=_hd95(predicted, truth, spacing=spacing) if hausdorff else None,
    )


def _hd95(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], *, spacing: Sequence[float] | None) -> float | None:
    from monai.metrics import compute_hausdorff_distance

    if not predicted.any() or not truth.any():
        return 0.0 if predicted.any() == truth.any() else None
    steps = list(spacing) if spacing is not None else [1.0, 1.0, 1.0]
    if predicted.shape[0] == 1:  # one slice is a plane: as a volume all of it would be surface
        predicted, truth, steps = predicted[0], truth[0], steps[1:]
    with warnings.catch_warnings():
        # MONAI calls its own function with an argument that it has deprecated, and tells every user so.
        warnings.simplefilter("ignore", FutureWarning)
        distance = compute_hausdorff_distance(
            _as_tensor(predicted), _as_tensor(truth), include_background=True, percentile=95, spacing=steps
        )
    return float(distance.item())


def _as_tensor(mask: NDArray[np.bool_]) -> torch.Tensor:
    """The mask as one image with one channel, (1, 1, ...), as MONAI's metrics take it."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(mask))[None, None]


def _bootstrap_means(values: NDArray[np.float64], *, resamples: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, values.size, (resamples, values.size))
    return np.asarray(values[picks].mean(axis=1), np.float64)


def _wilcoxon(differences: NDArray[np.float64]) -> float | None:
    from scipy.stats import wilcoxon

    if not differences.any():
        return None
    return float(wilcoxon(differences, zero_method="wilcox").pvalue)
