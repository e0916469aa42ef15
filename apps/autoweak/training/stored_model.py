"""A model's folder on disk: weights as safetensors, and a card in JSON that names their hash."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from autoweak import atomic
from autoweak.errors import CheckpointError

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "model.json"


def write_model(folder: Path, weights: bytes, card: Mapping[str, Any], *, style: str) -> None:
    """Write both into `folder`, which appears whole or not at all; one of that name is replaced.

    Args:
        folder: of the model.
        weights: as safetensors.
        card: plain values.
        style: what kind of model it is, with the version of its card.
    """
    content = {"format": style, "weights_sha256": hashlib.sha256(weights).hexdigest(), **card}
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(f".unfinished-{folder.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".unfinished-{folder.name}-", dir=folder.parent) as holder:
        fresh = Path(holder) / "new"
        fresh.mkdir()
        atomic.write_bytes(fresh / WEIGHTS_FILE, weights)
        atomic.write_json(fresh / CARD_FILE, content)
        if folder.exists():
            folder.rename(Path(holder) / "old")
        fresh.rename(folder)


def read_card(folder: Path, *, style: str) -> tuple[dict[str, Any], str]:
    """The card and the hash that the weights must have.

    Raises:
        CheckpointError: there is no model, its card cannot be read, or it is of another kind.
    """
    path = folder / CARD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"There is no model in {folder} ({CARD_FILE} is missing); train one first."
        raise CheckpointError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"The model description {path} cannot be read ({type(error).__name__}); train the model again."
        raise CheckpointError(msg) from error
    if not isinstance(content, dict) or content.pop("format", None) != style:
        msg = f"{path} is not the description of a model of the kind {style}; train the model again."
        raise CheckpointError(msg)
    return content, str(content.pop("weights_sha256", ""))


def read_weights(folder: Path, *, sha256: str) -> dict[str, Tensor]:
    """The weights, if they are those that the card was written with.

    Raises:
        CheckpointError: they are missing, damaged or changed.
    """
    path = folder / WEIGHTS_FILE
    try:
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            msg = f"The weights {path} were changed or damaged: sha256 {found[:12]}… in place of {sha256[:12]}…; "
            raise CheckpointError(msg + "train the model again.")
        return dict(safetensors.torch.load(content))
    except (OSError, SafetensorError) as error:
        msg = f"The weights {path} cannot be read ({type(error).__name__}); train the model again."
        raise CheckpointError(msg) from error
