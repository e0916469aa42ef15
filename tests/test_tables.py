"""Text tables."""

from __future__ import annotations

from autoweak.tables import format_table


def test_columns_align_and_numbers_go_right() -> None:
    assert format_table(["arm", "Dice", "n"], [["gold only", 0.5, 10], ["gold + weak", None, 9]]).splitlines() == [
        "arm           Dice   n",
        "-----------  -----  --",
        "gold only    0.500  10",
        "gold + weak      -   9",
    ]
