"""Calibration takes each class of each gold image once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autoweak.weak_labels import QualityModel, WeakLabel, calibrate


def test_dice_is_that_of_each_class_and_images_with_nothing_found_are_passed_over(
    labelled: WeakLabel, nothing: WeakLabel
) -> None:
    model = calibrate([(labelled, labelled.mask)] * 8 + [(nothing, labelled.mask)] * 3)
    assert model.calibrated
    assert (model.gold, model.mean) == (8, 1.0)
    elsewhere = np.roll(labelled.mask, 4, axis=1)
    assert calibrate([(labelled, elsewhere)] * 8).mean == 0.0
    assert calibrate([(labelled, labelled.mask * 2)] * 8).mean == 0.0


def test_images_of_one_patient_count_as_one(labelled: WeakLabel) -> None:
    pairs = [(labelled, labelled.mask)] * 8
    assert not calibrate(pairs, patients=["a"] * 4 + ["b"] * 4).calibrated
    assert calibrate(pairs, patients=list("abcdefgh")).calibrated


def test_a_label_that_was_not_found_is_expected_absent_as_often_as_gold_says(labelled: WeakLabel) -> None:
    missed = replace(labelled.scores[0], label=2, area=0, scores=None, quality=0.5)
    weak = replace(labelled, scores=(*labelled.scores, missed))
    there = labelled.mask.copy()
    there[0, 0, 0] = 2
    model = calibrate([(weak, labelled.mask)] * 6 + [(weak, there)] * 2)
    assert model.gold == 8
    assert model.predict_absent(2) == (1 + 6) / (2 + 8)
    assert model.predict_absent(3) == 0.5
    assert QualityModel.from_dict(model.to_dict()) == model


def test_a_class_lost_to_others_has_no_scores_to_learn_from(labelled: WeakLabel) -> None:
    lost = replace(labelled, scores=(replace(labelled.scores[0], area=0, scores=None, quality=0.0),))
    assert calibrate([(lost, labelled.mask)] * 8).gold == 0
