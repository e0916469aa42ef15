"""Probability maps of networks."""

from __future__ import annotations

import numpy as np
import torch

from autoweak.training.predict import predict_probabilities


def test_a_slice_of_one_value_has_an_empty_map() -> None:
    class Sure(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.full((len(image), 2, *image.shape[-2:]), 9.0)

    view = np.full((3, 20, 24, 1), 77, dtype=np.uint8)
    view[1, 5, 5] = 78
    maps = predict_probabilities([Sure()], view, size=32)
    assert maps.shape == (3, 2, 20, 24)
    assert not maps[[0, 2]].any()
    assert (maps[1] > 0.9).all()
