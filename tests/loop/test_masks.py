"""Masks from probability maps."""

from __future__ import annotations

import numpy as np

from autoweak.loop.masks import mask_of
from autoweak.tasks import Task


def test_mask_takes_the_likeliest_label_from_one_half_on(task: Task) -> None:
    two = task.model_copy(update={"labels": {"first": 1, "second": 2}, "components": 2})
    probabilities = np.array([[[[0.4, 0.5, 0.6, 0.9]], [[0.3, 0.2, 0.7, 0.1]]]], dtype=np.float32)
    assert mask_of(probabilities, two).tolist() == [[[0, 1, 2, 1]]]


def test_mask_keeps_the_likeliest_components(task: Task) -> None:
    probabilities = np.zeros((2, 1, 12, 12), dtype=np.float32)
    probabilities[0, 0, 0:4, 0:8] = 0.6
    probabilities[0, 0, 7:10, 2:5] = 0.9
    probabilities[1, 0, 5, 5] = 0.5
    mask = mask_of(probabilities, task)
    assert mask[0].sum() == mask[0, 7:10, 2:5].sum() == 9
    assert mask[1].sum() == 1
    both = mask_of(probabilities, task.model_copy(update={"components": 2}))
    assert both[0].sum() == 9 + 32
