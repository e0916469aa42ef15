"""The tables of an experiment: every row with its tests, and the papers' layout of counts by arms."""

from __future__ import annotations

import json
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
    "difference",
    "p (Holm)",
    "above the ground",
)
_SMALLEST_P = 0.001


def cells_of(row: Row) -> list[object]:
    """A row's cells under `HEADER`."""
    summary = row.summary
    return [
        row.name,
        _labels(row),
        summary.mean,
        f"{summary.low:.3f} to {summary.high:.3f}",
        _between(row),
        row.iou,
        _distance(row),
        None if row.comparison is None else f"{row.comparison.difference.mean:+.3f}",
        p_value(row.p_holm),
        verdict(row),
    ]


def _between(row: Row) -> str | None:
    """Standard deviation between seeds, and how many there are where some failed."""
    told = [] if row.deviation is None else [f"± {row.deviation:.3f}"]
    if len(row.seeds) < row.planned:
        told.append(f"({len(row.seeds)} of {row.planned} seeds)")
    return " ".join(told) or None


def _labels(row: Row) -> str:
    """How many labels there were: gold ones, images of patients for weak ones, synthetic images."""
    synthetic = row.weak_labels["synthetic"] or 0
    return f"{row.gold} + {row.weak}" + (f" + {synthetic:.0f} synthetic" if synthetic else "")


def _used(row: Row) -> str | None:
    """How many weak labels were trained on: of patients, and of synthetic images."""
    synthetic = row.weak_labels["synthetic_used"] or 0
    if not row.weak and not synthetic:
        return None
    return f"{row.weak_labels['used'] or 0:.0f}" + (f" + {synthetic:.0f} synthetic" if synthetic else "")


def _distance(row: Row) -> str | None:
    if row.hd95 is None:
        return None
    return f"{row.hd95:.1f}" + (f" ({row.hd95_missing} left out)" if row.hd95_missing else "")


def p_value(value: float | None) -> str | None:
    """A p value as it is shown: never as 0."""
    if value is None:
        return None
    return f"< {_SMALLEST_P}" if value < _SMALLEST_P else f"{value:.3f}"


def verdict(row: Row) -> str:
    """Whether a method beats the ground, in words."""
    if row.role is Role.BOUND:
        return "(bound)"
    if row.role is not Role.METHOD:
        return "(ground)"
    if row.not_above is None:
        return "nothing to compare with"
    return f"no: {', '.join(row.not_above)}" if row.not_above else "yes"


def plain(value: object) -> str:
    """A cell as text, a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main_table(rows: Sequence[Row], plan: Plan) -> Table:
    """All rows, with their tests."""
    cells = [cells_of(row) for row in rows]
    # What was not measured, as HD95, needs no column.
    shown = [place for place in range(len(HEADER)) if any(line[place] is not None for line in cells)]
    return Table(
        caption="Arms on the evaluation images",
        header=tuple(HEADER[place] for place in shown),
        rows=tuple(tuple(plain(line[place]) for place in shown) for line in cells),
        note=(
            f"Dice: mean over images of the mean over labels and seeds; interval by bootstrap over images. Where seeds "
            f"failed, arms are compared over those that both have. Difference "
            f"and p: image by image against {plan.reference} with the same labels, Wilcoxon's signed-rank test, "
            f"corrected by Holm for all rows. Above the ground: the interval of the difference to each ground arm with "
            f"the same labels lies above 0; else the arms that it is not shown to beat are named. HD95 leaves out "
            f"labels that one of the two masks lacks, and says how many."
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


def weak_table(rows: Sequence[Row]) -> tuple[Table, ...]:
    """What became of the images offered for weak labels, and how good those are; none where no arm has any."""
    shown = [row for row in rows if row.role is not Role.BOUND and (row.weak or row.weak_labels["synthetic"])]
    if not shown:
        return ()
    lines = [
        (
            row.name,
            _labels(row),
            plain(_used(row)),
            *(f"{row.weak_labels[key] or 0:.1f}".removesuffix(".0") for key in ("empty", "extreme")),
            plain(row.weak_labels["dice"]),
            plain(row.weak_labels["estimated"]),
        )
        for row in shown
    ]
    header = ("arm", "gold + weak", "used", "nothing found", "dropped by filters", "Dice, truth known", "own estimate")
    note = (
        "Means over seeds. Dice against the truth where it is known, images in which nothing was found included. Own "
        "estimate: what the promptable model expects by itself, 2 s / (1 + s) of its predicted IoU s, where noted."
    )
    return (Table(caption="Weak labels", header=header, rows=tuple(lines), note=note),)


def arms_table(plan: Plan) -> Table:
    """What each arm is."""
    rows = []
    for entry in plan.entries:
        arm = ARMS[entry.arm]
        options = ", ".join(f"{key}: {json.dumps(value)}" for key, value in entry.options().items())
        rows.append((entry.name, arm.name, options or "–", arm.paper, arm.summary))
    header = ("name", "arm", "options", "of", "what it does")
    return Table(caption="What the arms are", header=header, rows=tuple(rows), words=True)
