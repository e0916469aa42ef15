"""SAM-family promptable models: encode an image once, decode any number of prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoweak.promptable.cache import EmbeddingCache
    from autoweak.promptable.model import DecodeResult, Embedding, Promptable, load_promptable

__all__ = ["DecodeResult", "Embedding", "EmbeddingCache", "Promptable", "load_promptable"]


def __getattr__(name: str) -> Any:
    # torch is loaded on first use of a model, not by whoever lists the registry.
    if name == "EmbeddingCache":
        from autoweak.promptable.cache import EmbeddingCache

        return EmbeddingCache
    if name in __all__:
        from autoweak.promptable import model

        return getattr(model, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
