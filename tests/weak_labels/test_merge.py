"""Joining masks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.weak_labels.merge import merge_masks


def test_masks_of_one_class_are_united_and_between_classes_the_higher_logit_wins() -> None:
    logits = np.array([[[2, -1, 3, -1, 1]], [[-1, 2, -1, -1, -1]], [[-1, -1, 4, -2, 0.5]]], dtype=np.float32)
    merged = merge_masks(logits, logits > 0, [1, 1, 2])
    np.testing.assert_array_equal(merged, [[1, 1, 2, 0, 1]])


def test_of_equal_logits_the_lower_label_wins_whatever_the_order() -> None:
    logits = np.ones((2, 1, 1), dtype=np.float32)
    assert merge_masks(logits, logits > 0, [5, 2])[0, 0] == 2


@given(seed=st.integers(0, 1000), labels=st.lists(st.sampled_from([1, 2, 200]), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_the_order_of_prompts_does_not_matter_and_empty_masks_add_nothing(seed: int, labels: list[int]) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (len(labels), 6, 7))
    merged = merge_masks(logits, logits > 0, labels)
    order = rng.permutation(len(labels))
    np.testing.assert_array_equal(merge_masks(logits[order], logits[order] > 0, [labels[one] for one in order]), merged)
    with_empty = np.concatenate([logits, np.full((1, 6, 7), -0.1)])
    np.testing.assert_array_equal(merge_masks(with_empty, with_empty > 0, [*labels, 3]), merged)
    np.testing.assert_array_equal(merged > 0, (logits > 0).any(axis=0))


def test_a_class_wins_only_where_its_mask_is() -> None:
    logits = np.array([[[5.0, 5.0]], [[1.0, 1.0]]])
    masks = np.array([[[True, False]], [[True, True]]])
    np.testing.assert_array_equal(merge_masks(logits, masks, [1, 2]), [[1, 2]])
