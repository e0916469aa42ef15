"""Decoding the prompts of a slice as the policy says: in one pass or two, jittered, joined with the coarse map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autoweak.dice import dice
from autoweak.prompts import Prompt, PromptPolicy
from autoweak.weak_labels.scores import BoolArray, FloatArray

Floats = npt.NDArray[np.float32]

# A box larger and smaller on all sides, and moved to each side, in parts of the jitter: x0, y0, x1, y1.
_VARIANTS = np.array(
    [
        [-1, -1, 1, 1],
        [1, 1, -1, -1],
        [1, 0, 1, 0],
        [-1, 0, -1, 0],
        [0, 1, 0, 1],
        [0, -1, 0, -1],
    ],
    dtype=np.float32,
)
_SURE = 1e-6  # probabilities nearer to 0 or 1 count as this far from it, so that log-odds stay finite


class DecodeResult(Protocol):
    """What a promptable model's decoding gives; see `autoweak.promptable`."""

    @property
    def logits(self) -> FloatArray:
        """(N, H, W)."""

    @property
    def masks(self) -> BoolArray:
        """(N, H, W)."""

    @property
    def predicted_iou(self) -> FloatArray:
        """(N,)."""

    @property
    def low_res_logits(self) -> FloatArray:
        """(N, h, w)."""


class PromptableModel(Protocol):
    """The part of a promptable model used here; see `autoweak.promptable`."""

    def decode(self, embedding: Any, *, boxes: Any = None, points: Any = None, masks: Any = None) -> DecodeResult:
        """Decode N prompts of one embedding."""


@dataclass(frozen=True)
class Decoding:
    """What N prompts of a slice gave.

    Attributes:
        logits: (N, H, W) float32; the mask is where they are above 0.
        own: (N, H, W) float32, the same before the coarse map had its share.
        predicted_iou: (N,), by the promptable model's own head; mean over the jittered boxes.
        steadiness: (N,), mean Dice of the jittered boxes' masks with the joint one, 0 to 1; 1 without jitter.
    """

    logits: Floats
    own: Floats
    predicted_iou: Floats
    steadiness: Floats

    @property
    def masks(self) -> BoolArray:
        """(N, H, W) bool."""
        return self.logits > 0


def decode_prompts(
    model: PromptableModel,
    embedding: Any,
    prompts: Sequence[Prompt],
    *,
    policy: PromptPolicy,
    maps: Mapping[int, FloatArray] | None = None,
) -> Decoding:
    """Decode all prompts of one slice as the policy says.

    Args:
        model: the promptable model.
        embedding: of the slice, by this model.
        prompts: N prompts of that slice, made by `policy`.
        policy: which parts of the prompts count, in how many passes, jitter, and the coarse map's share.
        maps: label to its coarse probabilities in the slice, (H, W), 0 to 1; None leaves the coarse map out.
    """
    boxes = np.array([prompt.box for prompt in prompts], dtype=np.float32) if policy.kind.has_box else None
    decoded = [_decode(model, embedding, prompts, boxes, policy)]
    if boxes is not None and policy.jitter > 0:
        variants = jittered(boxes, jitter=policy.jitter, size=decoded[0].logits.shape[1:])
        decoded += [_decode(model, embedding, prompts, variant, policy) for variant in variants]
    own, steadiness = _joined(decoded)
    logits = own
    if maps is not None and policy.coarse_share > 0:
        logits = np.stack(
            [
                fuse(one, prompt, maps[prompt.label], share=policy.coarse_share)
                for one, prompt in zip(own, prompts, strict=True)
            ]
        )
    iou = np.mean([result.predicted_iou for result in decoded], axis=0, dtype=np.float32)
    return Decoding(logits, own, np.atleast_1d(iou), steadiness)


def jittered(boxes: Floats, *, jitter: float, size: tuple[int, ...]) -> Floats:
    """Boxes larger, smaller and moved to each side, inside the slice.

    Args:
        boxes: (N, 4), XYXY pixel indices.
        jitter: by which share of a box's width and height its sides move, below 0.5.
        size: (H, W).

    Returns:
        (V, N, 4) float32.
    """
    # Between the outermost pixels, so that no box can be turned inside out: one of a single pixel stays as it is.
    spans = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = boxes + jitter * _VARIANTS[:, None] * spans
    return np.asarray(np.clip(moved, 0, np.tile([size[1] - 1, size[0] - 1], 2)), np.float32)


def fuse(logits: Floats, prompt: Prompt, probability: FloatArray, *, share: float) -> Floats:
    """Log-odds of the weighted mean of what the promptable model and the coarse map say of each pixel.

    The coarse map speaks where the prompt's box is, as it stands above or below the threshold at which the prompt's
    component was found; outside it says no. Alone, it says what it predicts: the prompt's component from 0.5 on, or
    from that threshold where it is lower.

    Args:
        logits: (H, W), of the promptable model.
        prompt: whose logits they are.
        probability: (H, W), 0 to 1, the coarse map of the prompt's label.
        share: of the coarse map in the mean, 0 to 1.
    """
    if share == 1:
        return _predicted(prompt, probability)
    told = _probability(_log_odds(probability) - _log_odds(np.asarray(prompt.threshold)))
    told = np.where(_inside(prompt, told.shape), told, 0.0)
    return np.asarray(_log_odds((1 - share) * _probability(logits) + share * told), np.float32)


def _predicted(prompt: Prompt, probability: FloatArray) -> Floats:
    """Log-odds (H, W) of the coarse map in a prompt's component, counted from the level at which it is predicted."""
    from scipy import ndimage

    level = min(0.5, prompt.threshold)
    odds = _log_odds(probability) - _log_odds(np.asarray(level))
    numbered, count = ndimage.label(probability >= level, structure=np.ones((3, 3)))
    if prompt.box is not None and count > 1:
        # A box can touch other components; the prompt's own fills it most at the threshold it was found at.
        found = numbered[_inside(prompt, odds.shape) & (probability >= prompt.threshold)]
        numbered = numbered == np.bincount(found, minlength=2)[1:].argmax() + 1
    return np.asarray(np.where(numbered > 0, odds + _SURE, _log_odds(np.asarray(0.0))), np.float32)


def _inside(prompt: Prompt, shape: tuple[int, ...]) -> BoolArray:
    """(H, W), True in the prompt's box; everywhere where it has none."""
    if prompt.box is None:
        return np.ones(shape, dtype=bool)
    inside = np.zeros(shape, dtype=bool)
    x0, y0, x1, y1 = (round(side) for side in prompt.box)
    inside[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = True
    return inside


def _decode(
    model: PromptableModel, embedding: Any, prompts: Sequence[Prompt], boxes: Floats | None, policy: PromptPolicy
) -> DecodeResult:
    points = [list(prompt.points) for prompt in prompts] if policy.kind.has_points else None
    if policy.passes == 1:
        return model.decode(embedding, boxes=boxes, points=points)
    first = model.decode(embedding, boxes=boxes)
    return model.decode(embedding, points=points, masks=first.low_res_logits)


def _joined(decoded: Sequence[DecodeResult]) -> tuple[Floats, Floats]:
    """Logits (N, H, W) of the mean probability, and how far (N,) the single masks agree with it."""
    if len(decoded) == 1:
        return np.asarray(decoded[0].logits, np.float32), np.ones(len(decoded[0].logits), np.float32)
    # One after the other, because a stack of all is large at the size of a slice.
    total = np.zeros(decoded[0].logits.shape, dtype=np.float64)
    for result in decoded:
        total += _probability(result.logits)
    joint = np.asarray(_log_odds(total / len(decoded)), np.float32)
    alike = [[dice(mask, one > 0) for mask, one in zip(result.masks, joint, strict=True)] for result in decoded]
    return joint, np.mean(alike, axis=0).astype(np.float32)


def _probability(logits: FloatArray) -> npt.NDArray[np.float64]:
    from scipy.special import expit

    return np.asarray(expit(np.asarray(logits, np.float64)))


def _log_odds(probability: FloatArray) -> npt.NDArray[np.float64]:
    from scipy.special import logit

    return np.asarray(logit(np.clip(np.asarray(probability, np.float64), _SURE, 1 - _SURE)))
