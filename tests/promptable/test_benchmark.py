"""The benchmark's arms and table, on a SAM small enough for tests."""

from __future__ import annotations

import numpy as np
import pytest
from scripts import benchmark_promptable as benchmark
from segment_anything.modeling import Sam

from autoweak.promptable.hardware import Precision
from autoweak.promptable.registry import MEDSAM_CONTRACT, SAM_CONTRACT


@pytest.mark.parametrize(
    ("reference", "contract"),
    [(benchmark.sam_predictor, SAM_CONTRACT), (benchmark.medsam_procedure, MEDSAM_CONTRACT)],
)
def test_arms_agree_and_are_measured(tiny_sam: Sam, reference, contract) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*benchmark._SIZE, 3)).astype(np.uint8)
    boxes = benchmark.make_boxes(4)
    arms = [reference(tiny_sam), benchmark.ours(tiny_sam, contract, Precision.FLOAT32)]
    for arm in arms:
        arm.turn(image, boxes)
        arm.turn(image, boxes)
    assert arms[0].masks is not None
    assert arms[0].masks.shape == (4, *benchmark._SIZE)
    table = [row.strip("| ").split(" | ") for row in benchmark.rows(arms)]
    assert float(table[1][-1]) > 0.999
    assert all(len(seconds) == 2 for arm in arms for seconds in arm.seconds.values())
    assert all(arm.peak > 0.05 for arm in arms)


def test_agreement_is_the_mean_dice() -> None:
    whole, half, none = np.ones((2, 4), bool), np.ones((2, 4), bool), np.zeros((2, 4), bool)
    half[1] = False
    found, wanted = np.stack([whole, half, none, none]), np.stack([whole, whole, none, whole])
    assert benchmark.agreement(found, wanted) == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)


def test_boxes_lie_in_the_image_and_are_the_same_each_time() -> None:
    boxes = benchmark.make_boxes(32)
    assert np.array_equal(boxes, benchmark.make_boxes(32))
    assert (boxes[:, :2] <= boxes[:, 2:]).all()
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= benchmark._SIZE[1] - 1).all()
    assert (boxes[:, 3] <= benchmark._SIZE[0] - 1).all()
