"""Laws of the losses that know nothing but tight boxes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.training.box_loss import band_deficits, barrier, box_loss, emptiness, size_excess
from autoweak.training.prompt_recipe import BoxTerms
from autoweak.training.tight_boxes import GridBox

SIDE = 64
TERMS = BoxTerms(side=SIDE)
steepness = st.floats(1.0, 50.0)
numbers = st.floats(-100.0, 100.0)
QUICK = settings(max_examples=30, deadline=None)


@st.composite
def boxes(draw: st.DrawFn) -> GridBox:
    top, left = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    return GridBox(top, draw(st.integers(top + 1, SIDE)), left, draw(st.integers(left + 1, SIDE)))


def ellipse(box: GridBox, *, side: int = SIDE) -> torch.Tensor:
    """The ellipse inscribed in a box, (side, side) of 0 and 1: it touches all four sides and fills π/4 of it."""
    rows, columns = np.mgrid[:side, :side] + 0.5
    v = (rows - (box.top + box.bottom) / 2) / ((box.bottom - box.top) / 2)
    u = (columns - (box.left + box.right) / 2) / ((box.right - box.left) / 2)
    return torch.from_numpy((u * u + v * v <= 1).astype(np.float32))


@QUICK
@given(steepness)
def test_barrier_is_continuous_with_a_continuous_slope_where_its_parts_meet(t: float) -> None:
    edge = -1 / t**2
    z = torch.tensor([edge * 1.0001, edge, edge * 0.9999], dtype=torch.float64, requires_grad=True)

    value = barrier(z, steepness=t)
    value.sum().backward()

    assert torch.allclose(value, value[1].expand(3), atol=1e-3 / t)
    assert z.grad is not None
    assert torch.allclose(z.grad, torch.full((3,), t, dtype=torch.float64), rtol=1e-3)


@QUICK
@given(steepness, numbers, numbers)
def test_barrier_rises_with_the_excess_and_is_convex(t: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    z = torch.tensor([low, (low + high) / 2, high], dtype=torch.float64, requires_grad=True)

    value = barrier(z, steepness=t)
    (slope,) = torch.autograd.grad(value.sum(), z)

    assert bool((slope > 0).all())
    assert value[0] <= value[2] + 1e-9
    assert value[1] <= (value[0] + value[2]) / 2 + 1e-9


def test_barrier_has_the_papers_values_at_t_5() -> None:
    z = torch.tensor([0.0, 1.0, -0.04, -1.0], dtype=torch.float64)

    assert barrier(z, steepness=5.0).tolist() == pytest.approx([0.84378, 5.84378, math.log(25) / 5, 0.0], abs=1e-5)


@QUICK
@given(boxes(), st.integers(1, 9))
def test_a_mask_that_touches_all_sides_satisfies_every_band(box: GridBox, width: int) -> None:
    # Chance of a pixel centre on each row and column of thin boxes: the bars through the middle do it always.
    mask = torch.zeros(SIDE, SIDE)
    mask[(box.top + box.bottom) // 2, box.left : box.right] = 1
    mask[box.top : box.bottom, (box.left + box.right) // 2] = 1

    assert float(band_deficits(mask, box, width=width).max()) <= 0


@QUICK
@given(boxes(), st.integers(1, 9), st.data())
def test_a_mask_that_misses_a_side_fails_a_band(box: GridBox, width: int, data: st.DataObject) -> None:
    mask = torch.ones(SIDE, SIDE)
    missing = data.draw(st.integers(box.top, box.bottom - 1))
    start = box.top + (missing - box.top) // width * width
    mask[start : start + width] = 0

    band = (missing - box.top) // width
    assert float(band_deficits(mask, box, width=width)[band]) == min(width, box.bottom - start)


@QUICK
@given(boxes(), st.integers(1, 9))
def test_bands_lie_side_by_side_over_the_whole_box(box: GridBox, width: int) -> None:
    height, across = box.bottom - box.top, box.right - box.left

    deficits = band_deficits(torch.zeros(SIDE, SIDE), box, width=width)

    assert len(deficits) == math.ceil(height / width) + math.ceil(across / width)
    assert float(deficits.sum()) == height + across


@QUICK
@given(boxes(), st.floats(0.0, 1.0))
def test_size_is_bounded_on_both_sides(box: GridBox, share: float) -> None:
    probability = torch.zeros(SIDE, SIDE)
    probability[box.top : box.bottom, box.left : box.right] = share

    larger, smaller = size_excess(probability, box.area, smallest=0.5, largest=0.9).tolist()

    assert larger == pytest.approx((share - 0.9) * box.area, abs=1e-2)
    assert smaller == pytest.approx((0.5 - share) * box.area, abs=1e-2)


@QUICK
@given(boxes())
def test_emptiness_asks_nothing_inside_the_box(box: GridBox) -> None:
    logits = torch.full((SIDE, SIDE), -40.0)
    logits[box.top : box.bottom, box.left : box.right] = 40.0

    assert float(emptiness(logits, [box])) == pytest.approx(0.0, abs=1e-6)


def test_emptiness_of_a_label_that_is_not_there_covers_the_image() -> None:
    logits = torch.zeros(SIDE, SIDE)

    assert float(emptiness(logits, [])) == pytest.approx(math.log(2))


@QUICK
@given(boxes())
def test_gradient_pushes_down_outside_and_up_inside_an_empty_box(box: GridBox) -> None:
    logits = torch.full((1, SIDE, SIDE), -3.0, requires_grad=True)

    box_loss(logits, [(box,)], terms=TERMS).backward()

    assert logits.grad is not None
    slope = logits.grad[0]
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[box.top : box.bottom, box.left : box.right] = True
    assert bool((slope[~inside] > 0).all())
    # At this logit every band of a small box still lacks pixels.
    if max(box.bottom - box.top, box.right - box.left) < 20:
        assert bool((slope[inside] < 0).all())


def test_an_object_that_fills_its_box_well_is_best() -> None:
    box = GridBox(10, 50, 6, 46)
    good = ellipse(box) * 12 - 6
    rest = {
        "nothing": torch.full((SIDE, SIDE), -6.0),
        "everything": torch.full((SIDE, SIDE), 6.0),
        "half the box": torch.cat([good[:30], torch.full((SIDE - 30, SIDE), -6.0)]),
        "beside the box": torch.roll(good, 14, 1),
    }

    best = float(box_loss(good[None], [(box,)], terms=TERMS))

    for name, logits in rest.items():
        assert float(box_loss(logits[None], [(box,)], terms=TERMS)) > best, name


@pytest.mark.parametrize("term", ["emptiness", "tightness", "size"])
def test_each_term_can_be_switched_off_and_counts_by_its_weight(term: str) -> None:
    box, logits = GridBox(10, 50, 6, 46), torch.linspace(-4, 4, SIDE * SIDE).reshape(1, SIDE, SIDE)
    nothing = BoxTerms(emptiness=0, tightness=0, size=0, side=SIDE)
    one, two = (replace(nothing, **{term: weight}) for weight in (0.5, 1.0))

    none, half, whole = (float(box_loss(logits, [(box,)], terms=terms)) for terms in (nothing, one, two))

    assert none == 0
    assert half != 0
    assert whole == pytest.approx(2 * half)


def test_a_faint_object_everywhere_is_large_enough_only_where_size_is_counted_everywhere() -> None:
    box, faint = GridBox(10, 50, 6, 46), torch.full((1, SIDE, SIDE), -1.1)
    inside = BoxTerms(emptiness=0, tightness=0, side=SIDE)

    value = float(box_loss(faint, [(box,)], terms=inside))

    assert float(box_loss(faint, [(box,)], terms=replace(inside, size_everywhere=True))) < value


def test_several_boxes_are_empty_between_and_tight_each() -> None:
    left, right = GridBox(10, 40, 2, 22), GridBox(10, 40, 40, 60)
    both = (ellipse(left) + ellipse(right)) * 12 - 6
    bridge = both.clone()
    bridge[20:30, 22:40] = 6
    only_left = ellipse(left) * 12 - 6

    best = float(box_loss(both[None], [(left, right)], terms=TERMS))

    assert float(box_loss(bridge[None], [(left, right)], terms=TERMS)) > best
    assert float(box_loss(only_left[None], [(left, right)], terms=TERMS)) > best


def test_what_is_not_known_is_not_learned() -> None:
    box = GridBox(10, 50, 6, 46)
    logits = torch.randn(2, SIDE, SIDE, requires_grad=True)

    loss = box_loss(logits, [None, (box,)], terms=TERMS)
    (slope,) = torch.autograd.grad(loss, logits)

    assert loss.item() == pytest.approx(float(box_loss(logits[1:], [(box,)], terms=TERMS)))
    assert not bool(slope[0].any())
    assert float(box_loss(logits, [None, None], terms=TERMS)) == 0
