"""Boxes of masks, and where they lie in the square that the promptable model sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autoweak.promptable.registry import MEDSAM_CONTRACT, SAM_CONTRACT, SMALL_CONTRACT, PreprocessingContract
from autoweak.studies.boxes import PixelBox
from autoweak.tasks import Mirror
from autoweak.training.tight_boxes import GridBox, boxes_of_mask, mirror_boxes, to_grid

QUICK = settings(max_examples=50, deadline=None)
masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@QUICK
@given(masks)
def test_a_class_box_is_touched_on_all_sides_and_holds_everything(mask: np.ndarray) -> None:
    boxes = boxes_of_mask(mask, components=False)

    assert len(boxes) == int(mask.any())
    for box in boxes:
        inside = mask[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1]
        assert inside.sum() == mask.sum()
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


@QUICK
@given(masks)
def test_boxes_of_components_hold_everything_and_are_one_each(mask: np.ndarray) -> None:
    boxes = boxes_of_mask(mask, components=True)

    covered = np.zeros_like(mask)
    for box in boxes:
        covered[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1] = True
    assert covered[mask].all()
    assert len(boxes) >= len(boxes_of_mask(mask, components=False))


def test_two_lungs_of_one_class_are_two_boxes() -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:18, 2:12] = mask[3:17, 18:28] = True

    assert boxes_of_mask(mask, components=True) == (PixelBox(2, 2, 11, 17), PixelBox(18, 3, 27, 16))
    assert boxes_of_mask(mask, components=False) == (PixelBox(2, 2, 27, 17),)


@pytest.mark.parametrize("contract", [SMALL_CONTRACT, MEDSAM_CONTRACT, SAM_CONTRACT], ids=lambda one: one.name)
@given(data=st.data())
def test_a_box_stays_in_the_square_and_keeps_its_place(contract: PreprocessingContract, data: st.DataObject) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 600), st.integers(1, 600)))
    x0, y0 = data.draw(st.tuples(st.integers(0, width - 1), st.integers(0, height - 1)))
    box = PixelBox(x0, y0, data.draw(st.integers(x0, width - 1)), data.draw(st.integers(y0, height - 1)))

    (found,) = to_grid([box], image_size=(height, width), contract=contract, side=256)

    assert 0 <= found.top < found.bottom <= 256
    assert 0 <= found.left < found.right <= 256
    longest = max(height, width)
    across, down = (256 * width / longest, 256 * height / longest) if contract is SAM_CONTRACT else (256, 256)
    assert found.left == pytest.approx(x0 / width * across, abs=1.5)
    assert found.bottom == pytest.approx((box.y1 + 1) / height * down, abs=1.5)


@QUICK
@pytest.mark.parametrize("way", list(Mirror))
@given(mask=masks)
def test_mirrored_boxes_are_those_of_the_mirrored_mask(way: Mirror, mask: np.ndarray) -> None:
    flipped = np.flip(mask, axis=1 if way is Mirror.HORIZONTAL else 0)

    found = mirror_boxes(boxes_of_mask(mask, components=False), image_size=mask.shape, way=way)

    assert found == boxes_of_mask(flipped, components=False)


def test_a_box_over_the_whole_image_fills_the_square() -> None:
    assert to_grid([PixelBox(0, 0, 99, 49)], image_size=(50, 100), contract=SMALL_CONTRACT, side=256) == (
        GridBox(0, 256, 0, 256),
    )
    assert to_grid([PixelBox(0, 0, 99, 49)], image_size=(50, 100), contract=SAM_CONTRACT, side=256) == (
        GridBox(0, 128, 0, 256),
    )
