"""How learned prompts are trained; the paper's values, where it has them."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoweak.training.box_loss import BoxLoss


@dataclass(frozen=True)
class PromptRecipe:
    """Recipe of Gaillochet et al. (MedAGI 2024).

    Attributes:
        loss: the three terms.
        epochs: how many.
        drop: share of the epochs after which the learning rate falls to a tenth.
        batch_size: embeddings a step.
        learning_rate: of Adam at the beginning; `weight_decay`: of Adam.
        most: slices of an epoch at most; where there are more, as in volumes, each epoch draws some.
        foreground: share of the drawn ones that show a label.
        num_points: see `PromptModule`; likewise `centre_channels` and `pool`.
        checkpoint_seconds: at least this long between two checkpoints.
    """

    loss: BoxLoss = field(default_factory=BoxLoss)
    epochs: int = 100
    drop: float = 0.5
    batch_size: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    most: int = 64
    foreground: float = 0.75
    num_points: int = 1
    centre_channels: int = 128
    pool: int = 8
    checkpoint_seconds: float = 5.0


PROMPT_RECIPE = PromptRecipe()
