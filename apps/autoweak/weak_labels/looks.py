"""A short vector of what an image looks like, near for images that look alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autoweak.weak_labels.generate import Embeddings

Vector = npt.NDArray[np.float32]


def looks_of(view: npt.NDArray[np.uint8], *, model: Any, cache: Embeddings) -> Vector:
    """The mean of an image's embedding over its pixels, at unit length; of a volume, that of its middle slice.

    Args:
        view: (S, H, W, C) uint8, the 8-bit view of the image.
        model: the promptable model; vectors of different models have nothing to do with each other.
        cache: keeps its embeddings.

    Returns:
        (D,) float32, D the channels of the embedding.
    """
    features = np.asarray(cache.get(model, view[view.shape[0] // 2]).features)
    mean = features.reshape(features.shape[0], -1).mean(axis=1)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-8), np.float32)
