"""MONAI's trainer with what this training hangs on it: schedule, clipping, averaging and a mean loss an epoch."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import IterationEvents, SupervisedTrainer
from monai.utils import CommonKeys
from torch import Tensor, nn
from torch.optim import AdamW

from autoweak.training.averaging import AveragedNetwork
from autoweak.training.batches import Batch, Batches
from autoweak.training.loss import WeightedDiceCELoss
from autoweak.training.recipe import Recipe

# Ignite reports every exception as an error before it passes it on; a Ctrl-C is none.
_LOGGER = logging.getLogger(__name__)
_LOGGER.setLevel(logging.CRITICAL)
_START = 1 / 25  # first learning rate as a share of the highest
_END = 1 / 2500  # last one


def build_optimizer(network: nn.Module, *, learning_rate: float, recipe: Recipe) -> AdamW:
    """AdamW that decays kernels, not biases, norms and scales."""
    kernels = [weight for weight in network.parameters() if weight.ndim > 1 and weight.shape[0] != weight.numel()]
    chosen = {id(weight) for weight in kernels}
    others = [weight for weight in network.parameters() if id(weight) not in chosen]
    groups = [{"params": kernels, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return AdamW(groups, lr=learning_rate)


def build_trainer(
    network: nn.Module,
    *,
    averaged: AveragedNetwork,
    optimizer: AdamW,
    batches: Batches,
    epochs: int,
    learning_rate: float,
    recipe: Recipe,
) -> SupervisedTrainer:
    """A trainer over `batches`, ready to run or to be set to a later epoch.

    `state.mean_loss` holds the mean loss of the epoch so far.
    """
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=batches,
        epoch_length=len(batches),
        network=network,
        optimizer=optimizer,
        loss_function=WeightedDiceCELoss(smoothing=recipe.smoothing),
        prepare_batch=_prepare,
        decollate=False,
        optim_set_to_none=True,
    )
    trainer.logger = _LOGGER
    total = epochs * len(batches)

    def schedule(engine: Any) -> None:
        share = (engine.state.iteration - 1) / max(1, total - 1)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * learning_rate_share(share, warm_up=recipe.warm_up)

    def clip(_: Any) -> None:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_norm)

    def average(engine: Any) -> None:
        averaged.update(network, engine.state.iteration)
        place = (engine.state.iteration - 1) % len(batches)
        loss = engine.state.output[CommonKeys.LOSS].item()
        before = engine.state.mean_loss if place else 0.0
        engine.state.mean_loss = before + (loss - before) / (place + 1)

    trainer.add_event_handler(Events.ITERATION_STARTED, schedule)
    trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, clip)
    trainer.add_event_handler(IterationEvents.MODEL_COMPLETED, average)
    return trainer


def learning_rate_share(progress: float, *, warm_up: float) -> float:
    """One-cycle schedule (Smith 2018) as a share of the highest rate: cosine up, then cosine down.

    Args:
        progress: share of all steps done, 0 to 1.
        warm_up: share of all steps in which the rate rises.
    """
    if progress < warm_up:
        return _cosine(_START, 1.0, progress / warm_up)
    return _cosine(1.0, _END, (progress - warm_up) / (1 - warm_up))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _prepare(batch: Batch, device: torch.device, non_blocking: bool, **_: object) -> tuple[Tensor, Batch]:
    moved = {name: getattr(batch, name).to(device, non_blocking=non_blocking) for name in Batch.__dataclass_fields__}
    return moved["image"], Batch(**moved)
