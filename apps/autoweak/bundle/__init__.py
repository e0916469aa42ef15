"""What the MONAI bundles are made of: their configs name these functions and transforms, and hold no logic themselves.

A config writes `"imports": ["$import autoweak.bundle as bundle"]` and then `$bundle.images(@dataset_dir)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "check": "guards",
    "check_pairs": "guards",
    "images": "data",
    "inferer_of": "inference",
    "load_weights": "guards",
    "network_of": "reading",
    "own_task": "reading",
    "pairs": "data",
    "promptable_of": "boxes",
    "root": "calls",
    "run": "guards",
    "split": "data",
    "start_from": "guards",
    "start_prompts": "boxes",
    "task_of": "reading",
    "trainable": "training",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
