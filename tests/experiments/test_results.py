"""From cells to rows: means over seeds, Holm's correction, and who beats the ground."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoweak.experiments.cells import Cell, CellResult
from autoweak.experiments.metrics import ImageScore, LabelScore, holm
from autoweak.experiments.results import Row, rows_of
from autoweak.experiments.spec import ArmEntry
from autoweak.experiments.tables import HEADER, cells_of, layout_table, verdict

P_VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12)


def _result(name: str, dice: list[float], *, gold: int = 25, weak: int = 0, seed: int = 0) -> CellResult:
    scores = tuple(
        ImageScore(f"image{index}", (LabelScore(1, value, value / (2 - value)),)) for index, value in enumerate(dice)
    )
    counts = {"offered": weak, "used": weak - 1, "empty": 1, "extreme": 0, "dice": None, "estimated": None}
    return CellResult(Cell(name, gold, weak, seed), f"{name}{gold}{weak}{seed}", scores, counts, 1.0)


def _rows(*results: CellResult) -> dict[tuple[str, int, int], Row]:
    entries = tuple(ArmEntry(arm=name) for name in dict.fromkeys(result.cell.name for result in results))
    plan = SimpleNamespace(
        entries=entries, reference="gold_only", entry=lambda name: next(one for one in entries if one.name == name)
    )
    found: Any = SimpleNamespace(plan=plan, results=results)
    return {row.place: row for row in rows_of(found)}


LOW = [0.50, 0.52, 0.51, 0.49, 0.53, 0.50, 0.48, 0.51]
HIGH = [0.70, 0.71, 0.73, 0.69, 0.70, 0.74, 0.68, 0.72]


def test_a_method_must_be_above_every_ground_arm_with_the_same_labels() -> None:
    rows = _rows(
        _result("gold_only", LOW),
        _result("s1_box", HIGH, weak=50),
        _result("s1_points", [value + 0.1 for value in LOW], weak=50),
        _result("ellipse", [value + 0.15 for value in LOW], weak=50),
        _result("full_truth", [value + 0.01 for value in HIGH], weak=50),
    )
    assert verdict(rows["s1_box", 25, 50]) == "yes"
    assert verdict(rows["s1_points", 25, 50]) == "no: ellipse"
    assert verdict(rows["ellipse", 25, 50]) == "(ground)"
    assert verdict(rows["full_truth", 25, 50]) == "(bound)"
    assert rows["gold_only", 25, 0].comparison is None
    compared = rows["s1_box", 25, 50].comparison
    assert compared is not None
    assert compared.difference.mean == pytest.approx(sum(HIGH) / 8 - sum(LOW) / 8)


def test_a_higher_mean_that_chance_explains_is_not_above() -> None:
    noisy = [value + change for value, change in zip(LOW, [0.4, -0.3, 0.2, -0.2, 0.3, -0.3, 0.1, -0.1], strict=True)]
    rows = _rows(_result("gold_only", LOW), _result("s1_box", noisy, weak=50))
    assert rows["s1_box", 25, 50].summary.mean > rows["gold_only", 25, 0].summary.mean
    assert verdict(rows["s1_box", 25, 50]) == "no: gold_only"


def test_images_are_averaged_over_seeds_before_they_are_tested() -> None:
    rows = _rows(
        _result("gold_only", [0.2, 0.4], seed=0),
        _result("gold_only", [0.4, 0.8], seed=1),
    )
    row = rows["gold_only", 25, 0]
    assert row.dice == pytest.approx({"image0": 0.3, "image1": 0.6})
    assert row.summary.count == 2
    assert row.seeds == pytest.approx({"0": 0.3, "1": 0.6})
    assert row.deviation == pytest.approx(0.2121, abs=1e-3)


def test_rows_are_tested_against_the_reference_with_as_much_gold() -> None:
    rows = _rows(
        _result("gold_only", LOW, gold=10),
        _result("gold_only", HIGH, gold=50),
        _result("s1_box", HIGH, gold=10, weak=5),
        _result("s1_box", HIGH, gold=50, weak=5),
    )
    assert rows["s1_box", 10, 5].comparison is not None
    assert rows["s1_box", 10, 5].comparison.wins == 8
    assert rows["s1_box", 50, 5].comparison is not None
    assert rows["s1_box", 50, 5].comparison.ties == 8


def test_a_failed_seed_is_no_gain() -> None:
    """The seeds that are left may be the easy ones: here the method is the worse one in the seed that both have."""
    rows = _rows(
        _result("gold_only", [value - 0.2 for value in LOW], seed=0),
        _result("gold_only", HIGH, seed=1),
        _result("s1_box", [value - 0.05 for value in HIGH], weak=50, seed=1),
    )
    row = rows["s1_box", 25, 50]
    assert row.summary.mean > rows["gold_only", 25, 0].summary.mean
    assert row.comparison is not None
    assert row.comparison.difference.mean == pytest.approx(-0.05)
    assert verdict(row) == "no: gold_only"
    assert cells_of(row)[HEADER.index("between seeds")] == "(1 of 2 seeds)"
    assert cells_of(rows["gold_only", 25, 0])[HEADER.index("between seeds")].startswith("± ")


def test_arms_without_a_seed_in_common_are_not_compared() -> None:
    rows = _rows(_result("gold_only", LOW, seed=0), _result("s1_box", HIGH, weak=50, seed=1))
    assert rows["s1_box", 25, 50].comparison is None
    assert verdict(rows["s1_box", 25, 50]) == "no: gold_only"


def test_the_ground_has_as_many_synthetic_images() -> None:
    fewer = _result("ellipse", [value + 0.3 for value in HIGH])
    fewer.weak["synthetic"] = 50
    more = _result("s1_box", HIGH)
    more.weak["synthetic"] = 250
    rows = _rows(_result("gold_only", LOW), more, fewer)
    assert verdict(rows["s1_box", 25, 0]) == "yes"
    fewer.weak["synthetic"] = 250
    assert verdict(_rows(_result("gold_only", LOW), more, fewer)["s1_box", 25, 0]) == "no: ellipse"


def test_the_layout_is_counts_by_arms() -> None:
    rows = _rows(_result("gold_only", LOW), _result("s1_box", HIGH, weak=25), _result("s1_box", HIGH, weak=50))
    (table,) = layout_table(list(rows.values()))
    assert table.header == ("gold + weak", "gold_only", "s1_box")
    assert table.rows == (("25 + 0", "0.505", "–"), ("25 + 25", "–", "0.709"), ("25 + 50", "–", "0.709"))
    assert len(cells_of(rows["s1_box", 25, 25])) == len(HEADER)


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]


@given(P_VALUES)
def test_holm_never_lowers_a_p_value_nor_changes_their_order(values: list[float | None]) -> None:
    corrected = holm(values)
    assert [value is None for value in corrected] == [value is None for value in values]
    pairs = sorted((before, after) for before, after in zip(values, corrected, strict=True) if before is not None)
    assert all(before <= after <= 1 for before, after in pairs if after is not None)
    assert all(one[1] <= two[1] for one, two in pairwise(pairs) if one[1] is not None)
