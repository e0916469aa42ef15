"""Training the coarse model on a few gold labels, and again on gold and weak ones."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoweak.training.cross_validation import cross_validate
    from autoweak.training.fold import FoldResult, train_fold
    from autoweak.training.model import TrainedModel
    from autoweak.training.network import build_network
    from autoweak.training.sample import Sample

_HOME = {
    "FoldResult": "fold",
    "Sample": "sample",
    "TrainedModel": "model",
    "build_network": "network",
    "cross_validate": "cross_validation",
    "train_fold": "fold",
}

__all__ = ["FoldResult", "Sample", "TrainedModel", "build_network", "cross_validate", "train_fold"]


def __getattr__(name: str) -> Any:
    # Lazy: a Sample needs numpy alone, and torch takes seconds to import.
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
