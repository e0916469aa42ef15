"""Models that experiments trained, kept by all that their weights depend on: the same training is never done twice."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autoweak.errors import CheckpointError
from autoweak.loop.coarse import training_inputs
from autoweak.loop.context import Context
from autoweak.loop.gold import Gold
from autoweak.training.network import definition_of
from autoweak.workspace import fingerprint

if TYPE_CHECKING:
    from autoweak.training import TrainedModel
    from autoweak.training.sample import Sample


def training_key(context: Context, samples: Sequence[Sample], *, gold: tuple[Gold, ...], way: str) -> str:
    """Fingerprint of a training: two arms whose weak labels are the same have the same one.

    Args:
        context: task and seed.
        samples: what is learned from beside gold.
        gold: gold labels that are learned from too; none where the arm leaves them out.
        way: how it is trained.
    """
    inputs: dict[str, Any] = training_inputs(context, gold) if gold else training_inputs(context, (), folds=())
    return fingerprint(
        {"way": way, "network": definition_of(context.task), "inputs": inputs, "samples": _hash(samples)}
    )


def find_or_train(context: Context, key: str, train: Callable[[Path], TrainedModel]) -> TrainedModel:
    """The model of a training: found, or trained now, or gone on with.

    Args:
        context: its workspace keeps models of experiments.
        key: fingerprint of the training.
        train: trains in a folder where checkpoints are kept until it is done.
    """
    from autoweak.training import TrainedModel

    folder, run_folder = context.workspace.root / "trained" / key[:32], context.workspace.run_folder(key)
    if folder.is_dir():
        try:
            return TrainedModel.load(folder)
        except CheckpointError:
            context.notes.append(f"The model {folder.name} of an experiment was damaged and is trained again.")
    model = train(run_folder)
    model.save(folder)
    shutil.rmtree(run_folder, ignore_errors=True)
    return model


def _hash(samples: Sequence[Sample]) -> str:
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.image_id} {sample.view.shape} {sample.weight!r}".encode())
        digest.update(np.ascontiguousarray(sample.view).tobytes())
        digest.update(np.ascontiguousarray(sample.mask).tobytes())
    return digest.hexdigest()
