"""From cells to a table: means over seeds, intervals, paired tests, and what beats the ground."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean, stdev
from typing import Any

from autoweak.experiments.arms import ARMS, Role
from autoweak.experiments.cells import CellResult
from autoweak.experiments.metrics import Comparison, Summary, compare, holm, summarise
from autoweak.experiments.run import Results

WEAK_KEYS = ("used", "synthetic", "synthetic_used", "empty", "extreme", "dice", "estimated")
# A row by arm, gold count and weak count.
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Row:
    """One arm with one number of gold and weak labels, over all seeds.

    Attributes:
        name: of the arm; `role`: what it is there for.
        gold, weak: how many labels.
        seeds: Dice of each seed, or subset and seed, as `Cell.repeat` names it; the mean over images.
        repeats: the same, for each of them image id to Dice.
        planned: how many there would be if none had failed.
        iou: mean over images and seeds; `hd95`: the same, where it was asked for and both masks hold the label.
        hd95_missing: how many labels of images have no HD95.
        weak_labels: how many were used, on average, and their Dice where the truth is known.
        comparison: against the reference, None for itself; `p_holm`: its p value, corrected for all rows.
        not_above: ground arms with the same labels that this one is not shown to beat; None for what is no method.
    """

    name: str
    role: Role
    gold: int
    weak: int
    seeds: Mapping[str, float]
    repeats: Mapping[str, Mapping[str, float]]
    iou: float
    hd95: float | None
    hd95_missing: int
    weak_labels: Mapping[str, float | None]
    comparison: Comparison | None = None
    p_holm: float | None = None
    not_above: tuple[str, ...] | None = None
    planned: int = 1

    @property
    def dice(self) -> dict[str, float]:
        """Image id to Dice, the mean over seeds; what intervals and tests are made of."""
        return self.dice_over(self.repeats)

    def dice_over(self, repeats: Iterable[str]) -> dict[str, float]:
        """As `dice`, over some of the seeds."""
        chosen = [self.repeats[one] for one in repeats]
        return {image_id: mean(one[image_id] for one in chosen) for image_id in chosen[0]}

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.name, self.gold, self.weak

    @property
    def synthetic(self) -> float:
        """How many synthetic images it got beside the others."""
        return self.weak_labels.get("synthetic") or 0

    @property
    def summary(self) -> Summary:
        """Mean, median and confidence interval of the Dice over images."""
        return summarise(list(self.dice.values()))

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the mean Dice between repetitions; None with one."""
        return stdev(self.seeds.values()) if len(self.seeds) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {key: getattr(self, key) for key in ("name", "gold", "weak", "iou", "hd95", "hd95_missing", "p_holm")}
        return {
            **plain,
            "role": self.role.value,
            "seeds": dict(self.seeds),
            "planned": self.planned,
            "dice": asdict(self.summary),
            "deviation": self.deviation,
            "weak_labels": dict(self.weak_labels),
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "not_above": None if self.not_above is None else list(self.not_above),
            "images": dict(self.dice),
        }


def rows_of(results: Results) -> tuple[Row, ...]:
    """The rows of the table, in the order of the arms, with their tests against the reference and the ground."""
    by_place: dict[Place, list[CellResult]] = {}
    for result in results.results:
        by_place.setdefault((result.cell.name, result.cell.gold, result.cell.weak), []).append(result)
    order = [entry.name for entry in results.plan.entries]
    rows = [
        _row(results.plan.entry(place[0]).arm, cells)
        for place, cells in sorted(by_place.items(), key=lambda item: (order.index(item[0][0]), *item[0][1:]))
    ]
    planned = max(len(row.seeds) for row in rows)
    rows = [replace(row, planned=planned) for row in rows]
    known = {row.place: row for row in rows}
    judged = [_judged(row, known, results) for row in rows]
    corrected = holm([None if row.comparison is None else row.comparison.p_value for row in judged])
    return tuple(replace(row, p_holm=p_value) for row, p_value in zip(judged, corrected, strict=True))


def _row(arm: str, cells: Sequence[CellResult]) -> Row:
    first = cells[0].cell
    labels = [label for result in cells for score in result.scores for label in score.labels]
    distances = [label.hd95 for label in labels if label.hd95 is not None]
    return Row(
        name=first.name,
        role=ARMS[arm].role,
        gold=first.gold,
        weak=first.weak,
        seeds={result.cell.repeat: mean(score.dice for score in result.scores) for result in cells},
        repeats={result.cell.repeat: {score.image_id: score.dice for score in result.scores} for result in cells},
        iou=mean(score.iou for result in cells for score in result.scores),
        hd95=mean(distances) if distances else None,
        hd95_missing=len(labels) - len(distances),
        weak_labels={key: _mean_of(cells, key) for key in WEAK_KEYS},
    )


def _mean_of(cells: Sequence[CellResult], key: str) -> float | None:
    values = [float(value) for result in cells if (value := result.weak.get(key)) is not None]
    return mean(values) if values else None


def _judged(row: Row, known: Mapping[Place, Row], results: Results) -> Row:
    reference = _same_labels(known, results.plan.reference, row)
    comparison = None
    if reference is not None and reference.place != row.place:
        comparison = _compared(reference, row)
    if row.role is not Role.METHOD:
        return replace(row, comparison=comparison)
    grounds = [entry.name for entry in results.plan.entries if ARMS[entry.arm].role in (Role.GROUND, Role.REFERENCE)]
    there = [ground for name in grounds if (ground := _same_labels(known, name, row)) is not None]
    not_above = tuple(
        ground.name for ground in there if (against := _compared(ground, row)) is None or against.difference.low <= 0
    )
    return replace(row, comparison=comparison, not_above=not_above if there else None)


def _compared(first: Row, second: Row) -> Comparison | None:
    """Second minus first over the seeds that both have: one draw of labels is harder than another."""
    shared = [repeat for repeat in second.repeats if repeat in first.repeats]
    return compare(first.dice_over(shared), second.dice_over(shared)) if shared else None


def _same_labels(known: Mapping[Place, Row], name: str, row: Row) -> Row | None:
    """The row of an arm with the same labels as `row`: as many weak ones, or none where it takes none."""
    same = known.get((name, row.gold, row.weak))
    if same is not None and same.synthetic == row.synthetic:
        return same
    without = known.get((name, row.gold, 0))
    return without if without is not None and not without.synthetic else None
