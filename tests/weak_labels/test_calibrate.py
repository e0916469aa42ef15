"""Calibration takes each class of each gold image once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autoweak.weak_labels import WeakLabel, calibrate


def test_dice_is_that_of_each_class_and_images_with_nothing_found_are_passed_over(
    labelled: WeakLabel, nothing: WeakLabel
) -> None:
    model = calibrate([(labelled, labelled.mask)] * 8 + [(nothing, labelled.mask)] * 3)
    assert model.calibrated
    assert (model.gold, model.mean) == (8, 1.0)
    elsewhere = np.roll(labelled.mask, 4, axis=1)
    assert calibrate([(labelled, elsewhere)] * 8).mean == 0.0
    assert calibrate([(labelled, labelled.mask * 2)] * 8).mean == 0.0


def test_a_class_lost_to_others_has_no_scores_to_learn_from(labelled: WeakLabel) -> None:
    lost = replace(labelled, scores=(replace(labelled.scores[0], area=0, scores=None, quality=0.0),))
    assert calibrate([(lost, labelled.mask)] * 8).gold == 0
