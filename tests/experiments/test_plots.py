"""Plots: valid SVG, the same for the same values, drawn from what they are given."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from autoweak.experiments.metrics import summarise
from autoweak.experiments.plots import (
    PlotError,
    calibration_plot,
    count_curves,
    dice_plot,
    learning_curves,
    quality_histogram,
)

HISTORY = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.8, "dice": 0.4}, {"epoch": 4, "loss": 0.5, "dice": 0.6}]
CURVE = [(0, summarise([0.2, 0.4])), (25, summarise([0.4, 0.5])), (100, summarise([0.4, 0.9]))]


def drawn() -> dict[str, bytes]:
    return {
        "histogram": quality_histogram([0.2, 0.6, 0.9, 1.0], ["reject", "review", "accept", "accept"]),
        "curves": learning_curves({"fold 1": HISTORY, "fold 2": HISTORY[:1]}),
        "calibration": calibration_plot([0.5, 0.9], [0.4, 0.95]),
        "dice": dice_plot({"gold only": [0.1, 0.5, 0.9], "gold + weak": []}),
        "many arms": dice_plot({f"arm {number}": [0.1 * number, 0.5] for number in range(9)}),
        "counts": count_curves({"a": CURVE, "b": CURVE[:1]}, x="weak labels"),
        "no qualities": quality_histogram([], []),
        "no calibration": calibration_plot([], []),
        "no curves": learning_curves({}),
    }


def test_every_plot_is_svg_and_repeats_exactly() -> None:
    first = drawn()
    assert first == drawn()
    for content in first.values():
        root = ElementTree.fromstring(content)  # noqa: S314  # our own
        assert root.tag.endswith("svg")


def test_other_values_give_another_plot() -> None:
    assert dice_plot({"a": [0.1, 0.2]}) != dice_plot({"a": [0.1, 0.9]})
    assert quality_histogram([0.1], ["accept"]) != quality_histogram([0.1], ["reject"])
    assert count_curves({"a": CURVE}, x="n") != count_curves({"a": CURVE[:2]}, x="n")
    assert learning_curves({"a": HISTORY}) != learning_curves({"a": HISTORY[:2]})


@pytest.mark.parametrize("name", ["$x_", "_hidden", r"\frac{", "<script>", "a$b$c", "$"])
def test_names_are_drawn_as_they_are_and_never_read_as_markup_or_formula(name: str) -> None:
    for content in (
        dice_plot({name: [0.5]}),
        learning_curves({name: HISTORY}),
        count_curves({name: CURVE}, x="weak labels"),
    ):
        ElementTree.fromstring(content)  # noqa: S314  # our own
        assert b"<script" not in content


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(PlotError, match="1 verdicts for 2 qualities"):
        quality_histogram([0.1, 0.2], ["accept"])
    with pytest.raises(PlotError, match="0 measured values for 1 expected"):
        calibration_plot([0.1], [])
