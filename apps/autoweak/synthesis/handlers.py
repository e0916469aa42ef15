"""What hangs on MONAI's trainer while a generator is trained; `configs/train.json` of the bundle names each."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from monai.engines import DiffusionPrepareBatch, IterationEvents
from torch import Tensor, nn

from autoweak import atomic
from autoweak.errors import CheckpointError
from autoweak.training.averaging import AveragedNetwork
from autoweak.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from autoweak.training.seeds import derive_seed

LOGGER = logging.getLogger(__name__)


class EpochSampler(Protocol):
    """The part of `torch.utils.data.DistributedSampler` used here."""

    def set_epoch(self, epoch: int) -> None:
        """Shuffle for this epoch."""


class MirroringPrepareBatch(DiffusionPrepareBatch):  # type: ignore[misc]  # MONAI has no types
    """Noise and time steps as MONAI draws them, and a left-right flip of each image with a chance of one half.

    Args:
        num_train_timesteps: of the noise schedule.
        mirror: whether images may be flipped.
    """

    def __init__(self, num_train_timesteps: int, *, mirror: bool) -> None:
        super().__init__(num_train_timesteps=num_train_timesteps)
        self._mirror = mirror

    def __call__(self, batchdata: dict[str, Tensor], *arguments: Any, **options: Any) -> Any:
        """Image, noise as the target, and what the inferer needs."""
        images = batchdata["image"]
        if self._mirror:
            flipped = torch.rand(len(images)) < 0.5
            images = torch.where(flipped[:, None, None, None], images.flip(-1), images)
        return super().__call__({"image": images}, *arguments, **options)


class Reproducible:
    """Makes what a step draws depend on seed and step alone, so that a resumed training goes on as undisturbed.

    Args:
        sampler: of the images.
        seed: of the training.
    """

    def __init__(self, sampler: EpochSampler, seed: int) -> None:
        self._sampler, self._seed = sampler, seed

    def attach(self, engine: Engine) -> None:
        """Hang it on a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._shuffle)
        engine.add_event_handler(Events.ITERATION_STARTED, self._reseed)

    def _shuffle(self, engine: Engine) -> None:
        self._sampler.set_epoch(engine.state.epoch)

    def _reseed(self, engine: Engine) -> None:
        torch.manual_seed(derive_seed(self._seed, engine.state.iteration, _rank()))


class ClipGradients:
    """Clips gradients to a norm before each step.

    Args:
        network: whose gradients.
        norm: the largest norm of them all together.
    """

    def __init__(self, network: nn.Module, norm: float) -> None:
        self._network, self._norm = network, norm

    def attach(self, engine: Engine) -> None:
        """Hang it on a trainer."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._clip)

    def _clip(self, _: Engine) -> None:
        nn.utils.clip_grad_norm_(self._network.parameters(), self._norm)


class AverageWeights:
    """Follows the network with an exponential moving average (Ho 2020), which is what draws images in the end.

    Args:
        network: the one being trained, wrapped for several processes or not.
        decay: share of the average kept at each step, 0 to 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = unwrapped(network)
        self.averaged = AveragedNetwork(self._network, decay=decay)

    def attach(self, engine: Engine) -> None:
        """Hang it on a trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)

    def _update(self, engine: Engine) -> None:
        self.averaged.update(self._network, engine.state.iteration)


class KeepState:
    """Goes on where a killed training was, keeps its state, and writes the averaged weights at the end.

    Args:
        path: the file of the state; one of this training is gone on from.
        weights: where the averaged weights go at the end, as a plain state dict.
        fingerprint: names the images and settings of this training.
        network: the network being trained.
        optimizer: its optimiser.
        average: its average; attach it before this.
        seconds: at least this long between two writes, so that writing stays cheap.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        weights: str | Path,
        fingerprint: str,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: AverageWeights,
        seconds: float = 15.0,
    ) -> None:
        self._path, self._weights, self._fingerprint = Path(path), Path(weights), fingerprint
        self._network, self._optimizer, self._average = unwrapped(network), optimizer, average
        self._seconds, self._saved = seconds, 0.0
        self._loss: list[float] = []
        self.history: list[dict[str, float]] = []

    def attach(self, engine: Engine) -> None:
        """Hang it on a trainer."""
        engine.add_event_handler(Events.STARTED, self._resume)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._keep)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def resume_epoch(self) -> int:
        """Load the state if there is one of this training, and return how many epochs are done.

        Raises:
            CheckpointError: the state is of another training.
        """
        if not self._path.is_file():
            return 0
        found = read_checkpoint(self._path, fingerprint=self._fingerprint)
        if found is None:
            msg = (
                f"The training state {self._path} is damaged or of other images or settings: "
                "give another --output_dir, or delete it to train anew."
            )
            raise CheckpointError(msg)
        self._network.load_state_dict(found.network)
        self._average.averaged.network.load_state_dict(found.averaged)
        self._optimizer.load_state_dict(found.optimizer)
        self.history = list(found.history)
        return found.epoch

    def _resume(self, engine: Engine) -> None:
        self._saved = time.monotonic()
        done = self.resume_epoch()
        if done:
            LOGGER.info("Going on after epoch %d.", done)
        engine.state.epoch = min(done, engine.state.max_epochs)
        engine.state.iteration = engine.state.epoch * engine.state.epoch_length

    def _note(self, engine: Engine) -> None:
        self._loss.append(engine.state.output["loss"].item())

    def _keep(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        self.history.append({"epoch": float(epoch), "loss": sum(self._loss) / len(self._loss)})
        self._loss = []
        due = epoch == engine.state.max_epochs or time.monotonic() - self._saved >= self._seconds
        if not due or _rank() != 0:
            return
        state = Checkpoint(
            fingerprint=self._fingerprint,
            epoch=epoch,
            network=self._network.state_dict(),
            averaged=self._average.averaged.state_dict(),
            optimizer=self._optimizer.state_dict(),
            history=self.history,
        )
        write_checkpoint(self._path, state)
        self._saved = time.monotonic()

    def _finish(self, _: Engine) -> None:
        if _rank() == 0:
            weights = {name: value.cpu() for name, value in self._average.averaged.state_dict().items()}
            atomic.write_with(self._weights, lambda partial: torch.save(weights, partial))


class LogEpochs:
    """Logs the mean loss of each epoch.

    Args:
        state: attached before this one.
    """

    def __init__(self, state: KeepState) -> None:
        self._state = state

    def attach(self, engine: Engine) -> None:
        """Hang it on a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._log)

    def _log(self, engine: Engine) -> None:
        if _rank() == 0:
            loss = self._state.history[-1]["loss"]
            LOGGER.info("Epoch %d of %d: loss %.4f.", engine.state.epoch, engine.state.max_epochs, loss)


def unwrapped(network: nn.Module) -> nn.Module:
    """The network itself, out of what wraps it for several processes."""
    inner = getattr(network, "module", None)
    return (
        inner if isinstance(network, nn.parallel.DistributedDataParallel) and isinstance(inner, nn.Module) else network
    )


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))
