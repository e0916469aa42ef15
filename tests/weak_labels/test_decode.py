"""Decoding as the policy says: jittered boxes, and the coarse map's share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.dice import dice
from autoweak.prompts import Prompt, get_policy
from autoweak.weak_labels.decode import decode_prompts, fuse, jittered

SIZE = (60, 80)


def prompt(box: tuple[float, float, float, float] = (30, 20, 59, 39), threshold: float = 0.5) -> Prompt:
    return Prompt(label=1, slice_index=0, box=box, points=(), threshold=threshold, area=600)


def probabilities(low: float = 0.1, high: float = 0.9) -> np.ndarray[Any, np.dtype[np.float32]]:
    """High in the left half of the prompt's box, and in a spot outside of it."""
    found = np.full(SIZE, low, dtype=np.float32)
    found[20:40, 30:45] = high
    found[0:5, 0:5] = high
    return found


def test_without_jitter_and_share_the_models_own_logits_come_out(model: Any) -> None:
    decoding = decode_prompts(model, SIZE, [prompt()], policy=get_policy("box"), maps={1: probabilities()})

    np.testing.assert_array_equal(decoding.logits, model.decode(SIZE, boxes=[prompt().box]).logits)
    np.testing.assert_array_equal(decoding.own, decoding.logits)
    assert decoding.steadiness.tolist() == [1.0]


def test_jitter_decodes_other_boxes_and_says_how_far_they_agree(model: Any) -> None:
    policy = get_policy("box", jitter=0.2)

    decoding = decode_prompts(model, SIZE, [prompt()], policy=policy)

    assert len(model.calls) == 7
    assert len({tuple(map(float, call["boxes"][0])) for call in model.calls}) == 7
    assert 0.6 < float(decoding.steadiness[0]) < 0.95
    assert dice(decoding.masks[0], model.decode(SIZE, boxes=[prompt().box]).masks[0]) > 0.9


@settings(max_examples=30, deadline=None)
@given(
    x=st.integers(0, 70), y=st.integers(0, 50), width=st.integers(1, 80), height=st.integers(1, 60),
    jitter=st.floats(0.01, 0.45),
)  # fmt: skip
def test_jittered_boxes_stay_in_the_slice_and_are_never_turned_inside_out(
    x: int, y: int, width: int, height: int, jitter: float
) -> None:
    box = np.array([[x, y, min(x + width - 1, 79), min(y + height - 1, 59)]], dtype=np.float32)

    moved = jittered(box, jitter=jitter, size=SIZE)

    assert moved.shape == (6, 1, 4)
    assert bool((moved >= 0).all())
    assert bool((moved <= np.array([79, 59, 79, 59])).all())
    assert bool((moved[..., 2:] >= moved[..., :2]).all())


@pytest.mark.parametrize("ring", [0.6, 0.5])
def test_the_coarse_map_alone_is_what_it_predicts_and_not_cut_by_the_box(ring: float) -> None:
    """Core and ring: the box is that of the core, found at 0.65, and the map predicts both, from 0.5 on."""
    found = np.full(SIZE, 0.1, dtype=np.float32)
    found[16:44, 26:64] = ring
    found[20:40, 30:60] = 0.9
    found[0:5, 0:5] = 0.9
    core = prompt(threshold=0.65)

    mask = fuse(np.full(SIZE, 5.0, dtype=np.float32), core, found, share=1.0) > 0

    expected = np.zeros(SIZE, dtype=bool)
    expected[16:44, 26:64] = True
    np.testing.assert_array_equal(mask, expected)


def test_another_component_that_reaches_into_the_box_is_not_the_prompts() -> None:
    found = np.full(SIZE, 0.1, dtype=np.float32)
    found[20:40, 30:48] = 0.9
    found[20:24, 52:80] = 0.8
    own = np.zeros(SIZE, dtype=bool)
    own[20:40, 30:48] = True

    mask = fuse(np.zeros(SIZE, dtype=np.float32), prompt(), found, share=1.0) > 0

    np.testing.assert_array_equal(mask, own)


def test_the_coarse_map_alone_counts_from_the_threshold_of_a_component_below_a_half() -> None:
    logits = np.zeros(SIZE, dtype=np.float32)

    mask = fuse(logits, prompt(threshold=0.2), probabilities(high=0.3), share=1.0) > 0

    assert int(mask.sum()) == 20 * 15


def test_with_half_a_share_the_surer_one_decides() -> None:
    sure_no, unsure_yes = np.full(SIZE, -8.0, dtype=np.float32), probabilities(high=0.6)
    unsure_no = np.full(SIZE, -0.1, dtype=np.float32)

    assert not (fuse(sure_no, prompt(), unsure_yes, share=0.5) > 0).any()
    assert (fuse(unsure_no, prompt(), probabilities(high=0.99), share=0.5) > 0).any()


def test_a_prompt_without_a_box_hears_the_coarse_map_everywhere() -> None:
    points = Prompt(label=1, slice_index=0, box=None, points=((40.0, 30.0, True),), threshold=0.5, area=600)

    mask = fuse(np.full(SIZE, -3.0, np.float32), points, probabilities(), share=1.0) > 0

    assert bool(mask[0:5, 0:5].all())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_fused_logits_are_finite(share: float) -> None:
    extreme = np.where(np.arange(80) % 2, 1e4, -1e4).astype(np.float32) * np.ones(SIZE, np.float32)

    assert bool(np.isfinite(fuse(extreme, prompt(), np.round(probabilities(0.0, 1.0)), share=share)).all())
