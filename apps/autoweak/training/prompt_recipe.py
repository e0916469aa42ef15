"""How learned prompts are trained; importing it loads no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Term = Literal["emptiness", "tightness", "size"]
TERMS: tuple[Term, ...] = ("emptiness", "tightness", "size")


@dataclass(frozen=True)
class BoxTerms:
    """The three terms of the loss; a weight of 0 switches one off.

    The values are the paper's, but for the size, which weighs 0.01 there and is counted over the whole image: so the
    masks of the small promptable model stay too faint to be masks at all (`docs/s4_learned_prompts.md`).

    Attributes:
        emptiness: weight of the cross-entropy outside the boxes.
        tightness: weight of the bands across the boxes.
        size: weight of the bounds on the object's size.
        size_everywhere: count the object's size over the whole image, not inside the boxes alone.
        band: width of a band, in pixels of the square of `side` pixels that the losses see.
        smallest: least share of the boxes' area that the object fills; `largest`: greatest.
        steepness: t of the barrier.
        side: of that square. The paper counts in pixels of its images, 256 to 640 wide; here it is 256 for all, so
            that a band is 2 % of the image's side whatever the image's size.
    """

    emptiness: float = 1.0
    tightness: float = 1e-4
    size: float = 0.3
    size_everywhere: bool = False
    band: int = 5
    smallest: float = 0.5
    largest: float = 0.9
    steepness: float = 5.0
    side: int = 256

    def only(self, terms: Collection[Term]) -> BoxTerms:
        """The same weights for these terms, and none for the others."""
        weights = {name: getattr(self, name) if name in terms else 0.0 for name in TERMS}
        return replace(self, emptiness=weights["emptiness"], tightness=weights["tightness"], size=weights["size"])

    def as_published(self) -> BoxTerms:
        """The size weighed and counted as in the paper."""
        return replace(self, size=0.01, size_everywhere=True)


@dataclass(frozen=True)
class PromptRecipe:
    """Recipe of Gaillochet et al. (MedAGI 2024).

    Attributes:
        terms: of the loss.
        epochs: how many.
        drop: share of the epochs after which the learning rate falls to a tenth.
        batch_size: embeddings a step.
        learning_rate: of Adam at the beginning; `weight_decay`: of Adam.
        most: slices of an epoch at most; where there are more, as in volumes, each epoch draws some.
        foreground: share of the drawn ones that show a label.
        modules: num_points, centre_channels and pool of `PromptModule`; None takes those of the bundle's `network_def`.
        precision: of the matrix products, "auto", "float32" or "bfloat16"; see `autoweak.promptable.hardware`.
        checkpoint_seconds: at least this long between two checkpoints.
    """

    terms: BoxTerms = field(default_factory=BoxTerms)
    epochs: int = 100
    drop: float = 0.5
    batch_size: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    most: int = 64
    foreground: float = 0.75
    modules: Mapping[str, int] | None = None
    precision: str = "auto"
    checkpoint_seconds: float = 5.0


PROMPT_RECIPE = PromptRecipe()
