"""The tables of an experiment: every row with its tests, and the papers' layout of counts by arms."""

from __future__ import annotations

from collections.abc import Sequence

from autoweak.experiments.arms import ARMS, Role
from autoweak.experiments.report import Table
from autoweak.experiments.results import Row
from autoweak.experiments.run import Plan

HEADER = (
    "arm",
    "gold + weak",
    "Dice",
    "95 % interval",
    "between seeds",
    "IoU",
    "HD95",
    "weak labels used",
    "their Dice",
    "difference",
    "p (Holm)",
    "above the ground",
)


def cells_of(row: Row) -> list[object]:
    """A row's cells under `HEADER`."""
    summary = row.summary
    return [
        row.name,
        f"{row.gold} + {row.weak}",
        summary.mean,
        f"{summary.low:.3f} to {summary.high:.3f}",
        None if row.deviation is None else f"± {row.deviation:.3f}",
        row.iou,
        None if row.hd95 is None else f"{row.hd95:.1f}",
        None if not row.weak else f"{row.weak_labels['used'] or 0:.0f}",
        row.weak_labels["dice"],
        None if row.comparison is None else f"{row.comparison.difference.mean:+.3f}",
        row.p_holm,
        verdict(row),
    ]


def verdict(row: Row) -> str:
    """Whether a method beats the ground, in words."""
    if row.role is Role.BOUND:
        return "(bound)"
    if row.role is not Role.METHOD:
        return "(ground)"
    if row.not_above is None:
        return "nothing to compare with"
    return f"no: not above {', '.join(row.not_above)}" if row.not_above else "yes"


def plain(value: object) -> str:
    """A cell as text, a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main_table(rows: Sequence[Row], plan: Plan) -> Table:
    """All rows, with their tests."""
    return Table(
        caption="Arms on the evaluation images",
        header=HEADER,
        rows=tuple(tuple(plain(value) for value in cells_of(row)) for row in rows),
        note=(
            f"Dice: mean over images of the mean over labels and seeds; interval by bootstrap over images. Difference "
            f"and p: image by image against {plan.reference} with the same labels, Wilcoxon's signed-rank test, "
            f"corrected by Holm for all rows. Above the ground: the interval of the difference to each ground arm with "
            f"the same labels lies above 0."
        ),
    )


def layout_table(rows: Sequence[Row]) -> tuple[Table, ...]:
    """Dice by counts (down) and arms (across), as the papers print it; none where there is one line only."""
    counts = sorted({(row.gold, row.weak) for row in rows})
    names = list(dict.fromkeys(row.name for row in rows))
    if len(counts) < 2:
        return ()
    found = {row.place: row.summary.mean for row in rows}
    lines = [(f"{gold} + {weak}", *(plain(found.get((name, gold, weak))) for name in names)) for gold, weak in counts]
    return (Table(caption="Dice by gold + weak labels", header=("gold + weak", *names), rows=tuple(lines)),)


def arms_table(plan: Plan) -> Table:
    """What each arm is."""
    rows = []
    for entry in plan.entries:
        arm = ARMS[entry.arm]
        options = ", ".join(f"{key} {value}" for key, value in entry.options().items())
        rows.append((entry.name, arm.name, options or "–", arm.paper, arm.summary))
    return Table(caption="What the arms are", header=("name", "arm", "options", "of", "what it does"), rows=tuple(rows))
