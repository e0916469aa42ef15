"""Weak labels: prompts from the coarse map, masks from the promptable model, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autoweak.errors import LabelError
from autoweak.prompts import Prompt, PromptPolicy, make_prompts
from autoweak.weak_labels.decode import Decoding, PromptableModel, decode_prompts
from autoweak.weak_labels.merge import merge_masks
from autoweak.weak_labels.quality import QualityModel
from autoweak.weak_labels.scores import Decoded, FloatArray, LabelScores, Scores, score_class, stability
from autoweak.weak_labels.verdict import Status, Verdict, VerdictRule

ByteArray = npt.NDArray[np.uint8]


class Embeddings(Protocol):
    """The part of an embedding cache used here; see `autoweak.promptable`."""

    def get(self, model: Any, image: Any, /) -> Any:
        """The embedding of one slice, encoded if it was not before."""


@dataclass(frozen=True)
class WeakLabel:
    """A weak label and what is known about it.

    Attributes:
        mask: (S, H, W) uint8, 0 background, else label values; all 0 if nothing was found.
        prompts: all prompts, those that gave an empty mask included.
        scores: one for each class, in order of label; empty if nothing was found.
        quality: expected Dice of the image, 0 to 1: the mean over the classes, as a Dice is averaged; a class that was
            prompted and whose mask came out empty counts 0. None if nothing was found.
        calibrated: whether gold labels stand behind the quality.
        verdict: that on the worst class; None if nothing was found.
        status: labelled or nothing found.
        note: for a person to read, why nothing was found; else empty.
    """

    mask: ByteArray
    prompts: tuple[Prompt, ...]
    scores: tuple[LabelScores, ...]
    quality: float | None
    calibrated: bool
    verdict: Verdict | None
    status: Status
    note: str = ""


def generate(
    view: ByteArray,
    coarse_map: FloatArray,
    *,
    model: PromptableModel,
    cache: Embeddings,
    policy: PromptPolicy,
    labels: Sequence[int],
    seed: int,
    symmetry: Sequence[float] = (),
    quality_model: QualityModel | None = None,
    rule: VerdictRule | None = None,
) -> WeakLabel:
    """Make the weak label of one image.

    Slices without prompts are never encoded; all prompts of a slice are decoded at once.

    Args:
        view: (S, H, W, C) uint8, the 8-bit view of the image.
        coarse_map: (S, K, H, W) probabilities, 0 to 1, at the image's own size.
        model: the promptable model.
        cache: keeps its embeddings.
        policy: how the coarse map becomes prompts.
        labels: the K label values, in the order of the map's classes.
        seed: 0 or more; the same inputs and seed give the same label.
        symmetry: how far each label's coarse map is that of the image without its mirror images, 0 to 1, see
            `Scores`; empty where nobody has looked.
        quality_model: None judges without calibration.
        rule: from quality to verdict; None takes the defaults.

    Raises:
        LabelError: image and coarse map differ in size.
        PromptError: the coarse map or the seed is not valid.
    """
    if view.ndim != 4 or (view.shape[0], *view.shape[1:3]) != (coarse_map.shape[0], *coarse_map.shape[2:]):
        raise LabelError(
            f"A coarse map must have its image's slices, rows and columns; got an image of shape {view.shape} "
            f"and a map of shape {coarse_map.shape}: predict the map of this image again."
        )
    prompts = make_prompts(coarse_map, policy=policy, labels=labels, seed=seed)
    mask, own = np.zeros(view.shape[:3], dtype=np.uint8), np.zeros(view.shape[:3], dtype=np.uint8)
    decoded: list[Decoded] = []
    for index, of_slice in groupby(prompts, key=lambda prompt: prompt.slice_index):
        members = tuple(of_slice)
        maps = dict(zip(labels, coarse_map[index], strict=True))
        result = decode_prompts(model, cache.get(model, view[index]), members, policy=policy, maps=maps)
        prompted = [prompt.label for prompt in members]
        mask[index] = merge_masks(result.logits, result.masks, prompted)
        own[index] = merge_masks(result.own, result.own > 0, prompted)
        decoded.extend(_parts(result, members))
    if not mask.any():
        return _nothing(mask, prompts, coarse_map, policy)
    signs = {
        label: score_class(
            mask == label,
            coarse_map[:, channel],
            [part for part in decoded if part.label == label],
            own=own == label,
            view=view,
            symmetry=symmetry[channel] if len(symmetry) else 1.0,
        )
        for channel, label in enumerate(labels)
        if any(prompt.label == label for prompt in prompts)
    }
    return _judged(mask, prompts, labels, signs, quality_model or QualityModel(), rule or VerdictRule())


def _parts(result: Decoding, prompts: Sequence[Prompt]) -> list[Decoded]:
    return [
        Decoded(
            label=prompt.label,
            area=int((result.own[index] > 0).sum()),
            predicted_iou=float(result.predicted_iou[index]),
            stability=stability(result.own[index]),
            steadiness=float(result.steadiness[index]),
        )
        for index, prompt in enumerate(prompts)
    ]


def _judged(
    mask: ByteArray,
    prompts: tuple[Prompt, ...],
    labels: Sequence[int],
    signs: Mapping[int, Scores | None],
    quality_model: QualityModel,
    rule: VerdictRule,
) -> WeakLabel:
    def scored(label: int) -> LabelScores:
        if label not in signs:
            return LabelScores(label, 0, None, quality_model.predict_absent(label))
        of_label = signs[label]
        quality = quality_model.predict(of_label) if of_label else 0.0
        return LabelScores(label, int((mask == label).sum()), of_label, quality)

    scores = [scored(label) for label in labels]
    qualities = [one.quality for one in scores]
    verdict = rule.judge(
        qualities,
        calibrated=quality_model.calibrated,
        largest_share=max(one.area for one in scores) / mask.size,
        foreground=sum(one.area for one in scores) / mask.size,
    )
    return WeakLabel(
        mask=mask,
        prompts=prompts,
        scores=tuple(scores),
        quality=float(np.mean(qualities)),
        calibrated=quality_model.calibrated,
        verdict=verdict,
        status=Status.LABELLED,
    )


def _nothing(mask: ByteArray, prompts: tuple[Prompt, ...], coarse_map: FloatArray, policy: PromptPolicy) -> WeakLabel:
    highest = float(coarse_map.max())
    if prompts:
        why = f"the promptable model gave an empty mask for each of the {len(prompts)} prompts"
    elif highest < policy.floor:
        why = f"no pixel of the coarse map reached {policy.floor:g}, the highest is {highest:.2f}"
    else:
        why = f"no region of the coarse map covers {policy.minimum_area:.2%} of its slice and reaches {policy.floor:g}"
    return WeakLabel(mask, prompts, (), None, False, None, Status.NOTHING_FOUND, f"nothing found: {why}")
