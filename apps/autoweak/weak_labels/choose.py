"""Choosing how weak labels are made, by how the ways do on gold images that the coarse model has not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from autoweak.dice import dice
from autoweak.prompts import Prompt, PromptKind, PromptPolicy, make_prompts
from autoweak.weak_labels.decode import Decoding, PromptableModel, decode_prompts, fuse
from autoweak.weak_labels.generate import Embeddings
from autoweak.weak_labels.merge import merge_masks
from autoweak.weak_labels.scores import FloatArray

ByteArray = npt.NDArray[np.uint8]

SHARES = (0.0, 0.5)
"""Shares of the coarse map that are tried with each kind of prompt; the coarse map alone, which asks none, once."""

FEWEST_GOLD = 8
"""With gold of fewer patients nothing is tried, and the task's own way kept: differences would be chance."""

# Of a volume, so that trying takes minutes: neighbouring slices say much the same.
_MOST_SLICES = 12
# Where a coarse map is cut first: as it predicts, or only where it is surer, which keeps a box to the object's core.
_MIDDLE, _HIGH = 0.5, 0.65


@dataclass(frozen=True)
class Seen:
    """A gold image as the trials see it.

    Attributes:
        view: (S, H, W, C) uint8.
        coarse_map: (S, K, H, W), 0 to 1, by a network that never saw the image.
        truth: (S, H, W) uint8, the gold label.
    """

    view: ByteArray
    coarse_map: FloatArray
    truth: ByteArray


@dataclass(frozen=True)
class Trial:
    """One way of making weak labels, and its Dice (mean over the labels) on each gold image."""

    policy: PromptPolicy
    dice: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the gold images."""
        return float(np.mean(self.dice))


@dataclass(frozen=True)
class Choice:
    """The way that was chosen, why, and all that were tried, best first."""

    policy: PromptPolicy
    reason: str
    trials: tuple[Trial, ...] = ()


def candidates(base: PromptPolicy) -> tuple[PromptPolicy, ...]:
    """The kinds of prompt that are tried; `base` is the first, and its components and limits hold for all.

    Tight and widened boxes, boxes that are jittered, box and points at once and in two passes (S3), points alone (S1);
    and the base from another first threshold, the lower one where it begins high.
    """
    lower = tuple(threshold for threshold in base.thresholds if threshold <= _MIDDLE)
    begins_high = base.thresholds[0] > _MIDDLE
    moved = (lower or (_MIDDLE,)) if begins_high else (_HIGH, *base.thresholds)
    box = dataclasses.replace(base, kind=PromptKind.BOX, negatives=0, passes=1, jitter=0.0, coarse_share=0.0)
    both = dataclasses.replace(box, kind=PromptKind.BOX_POINTS, negatives=2)
    named = {
        "box": box,
        "box_wide": dataclasses.replace(box, margin=0.05),
        "box_jittered": dataclasses.replace(box, jitter=0.1),
        "box_points": both,
        "two_pass": dataclasses.replace(both, passes=2),
        f"{base.name}_{'lower' if begins_high else 'higher'}": dataclasses.replace(base, thresholds=moved),
        "points": dataclasses.replace(box, kind=PromptKind.POINTS, negatives=2),
    }
    # The shares of the coarse map are tried with each, so a way that differs from the base in its share alone is none.
    alone = dataclasses.replace(base, coarse_share=0.0)
    others = {name: way for name, way in named.items() if dataclasses.replace(way, name=base.name) != alone}
    return (base, *(dataclasses.replace(way, name=name) for name, way in others.items()))


def choose(
    base: PromptPolicy,
    seen: Iterable[Seen],
    *,
    model: PromptableModel,
    cache: Embeddings,
    labels: Sequence[int],
    seed: int,
    patients: Sequence[str] | None = None,
) -> Choice:
    """Try all ways on gold images, and take the one with the best mean Dice.

    Every image is encoded once, whatever is tried. The better of the base and the coarse map alone is kept unless
    another way is better by more than the standard error of their difference, patient by patient; since the best of
    many ways is looked at, that is a leaning and no test, and its Dice flatters it. With gold of fewer than
    `FEWEST_GOLD` patients nothing is tried.

    Args:
        base: the task's own way; its share of the coarse map counts as tried as well.
        seen: gold images; of a volume at most 12 slices take part.
        model: the promptable model; `cache`: of its embeddings.
        labels: the K label values, in the order of the maps' classes.
        seed: of the prompts' random choices.
        patients: of each gold image; None where each is of a patient of its own.
    """
    if patients is not None and len(set(patients)) < FEWEST_GOLD:
        return Choice(base, f"gold images of {len(set(patients))} patients are too few to choose by")
    waiting = iter(seen)
    first = list(islice(waiting, FEWEST_GOLD))
    if len(first) < FEWEST_GOLD:
        return Choice(base, f"{len(first)} gold images are too few to choose by")
    found: dict[PromptPolicy, list[float]] = {}
    for one in chain(first, waiting):
        for policy, score in _tried(base, _thinned(one), model=model, cache=cache, labels=labels, seed=seed):
            found.setdefault(policy, []).append(score)
    trials = sorted((Trial(policy, tuple(dices)) for policy, dices in found.items()), key=lambda trial: -trial.mean)
    return _decided(base, tuple(trials), patients)


def _decided(base: PromptPolicy, trials: tuple[Trial, ...], patients: Sequence[str] | None) -> Choice:
    own = next(trial for trial in trials if trial.policy == base)
    # The promptable model must not make worse what the coarse map has already: so the map alone needs no lead.
    alone = max(
        (trial for trial in trials if trial.policy.coarse_share == 1), key=lambda trial: trial.mean, default=own
    )
    first = alone if alone.mean > own.mean else own
    best = trials[0]
    gain = _by_patient(np.subtract(best.dice, first.dice), patients)
    error = float(np.std(gain, ddof=1) / np.sqrt(len(gain)))
    if float(gain.mean()) > error:
        first = best
    told = f"Dice on held-out gold {first.mean:.3f}" + ("" if first is own else f", {own.mean:.3f} for {base.name}")
    if first.mean == best.mean:
        return Choice(first.policy, f"best of {len(trials)} ways: {told}", trials)
    lead = f"{best.policy.name}, with {best.mean:.3f}, is not better by more than the standard error"
    return Choice(first.policy, f"{told}; {lead}", trials)


def _by_patient(values: npt.NDArray[Any], patients: Sequence[str] | None) -> npt.NDArray[Any]:
    """The mean of each patient's images."""
    if patients is None:
        return values
    _, place = np.unique(patients, return_inverse=True)
    return np.asarray(np.bincount(place, weights=values) / np.bincount(place))


def _tried(
    base: PromptPolicy,
    one: Seen,
    *,
    model: PromptableModel,
    cache: Embeddings,
    labels: Sequence[int],
    seed: int,
) -> Iterable[tuple[PromptPolicy, float]]:
    for way in candidates(base):
        prompts = make_prompts(one.coarse_map, policy=way, labels=labels, seed=seed)
        decoded = _decoded(one, prompts, way, model=model, cache=cache)
        for share in sorted({*SHARES, way.coarse_share} | ({1.0} if way == base else set())):
            mask = _joined(one, decoded, labels=labels, share=share)
            score = float(np.mean([dice(mask == label, one.truth == label) for label in labels]))
            yield _with_share(way, share), score


def _with_share(way: PromptPolicy, share: float) -> PromptPolicy:
    if share == way.coarse_share:
        return way
    # The coarse map alone needs no second opinion on boxes, which is most of the time that a volume takes.
    jitter = way.jitter if share < 1 else 0.0
    return dataclasses.replace(way, name=f"{way.name}_coarse_{round(100 * share)}", coarse_share=share, jitter=jitter)


_Decoded = dict[int, tuple[tuple[Prompt, ...], Decoding]]


def _decoded(
    one: Seen, prompts: Sequence[Prompt], way: PromptPolicy, *, model: PromptableModel, cache: Embeddings
) -> _Decoded:
    slices = {}
    for index, of_slice in groupby(prompts, key=lambda prompt: prompt.slice_index):
        members = tuple(of_slice)
        embedding: Any = cache.get(model, one.view[index])
        slices[index] = members, decode_prompts(model, embedding, members, policy=way)
    return slices


def _joined(one: Seen, decoded: _Decoded, *, labels: Sequence[int], share: float) -> ByteArray:
    """The weak label (S, H, W) with one share of the coarse map."""
    mask = np.zeros(one.truth.shape, dtype=np.uint8)
    for index, (prompts, decoding) in decoded.items():
        maps = dict(zip(labels, one.coarse_map[index], strict=True))
        logits = decoding.own
        if share > 0:
            pairs = zip(decoding.own, prompts, strict=True)
            logits = np.stack([fuse(own, prompt, maps[prompt.label], share=share) for own, prompt in pairs])
        mask[index] = merge_masks(logits, logits > 0, [prompt.label for prompt in prompts])
    return mask


def _thinned(one: Seen) -> Seen:
    """At most so many slices, evenly spread over those where the truth or the coarse map shows something."""
    if len(one.view) <= _MOST_SLICES:
        return one
    shown = np.flatnonzero(one.truth.any(axis=(1, 2)) | (one.coarse_map >= 0.5).any(axis=(1, 2, 3)))
    if not len(shown):
        shown = np.arange(len(one.view))
    kept = shown[np.unique(np.linspace(0, len(shown) - 1, _MOST_SLICES).round().astype(int))]
    return Seen(one.view[kept], one.coarse_map[kept], one.truth[kept])
