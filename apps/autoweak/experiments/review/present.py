"""The report of simulated reviews, with `metrics.json` beside it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import autoweak
from autoweak import atomic
from autoweak.experiments import plots
from autoweak.experiments.report import KeyFigure, Plot, Report, Table, write_report
from autoweak.experiments.review.orders import ORDERS
from autoweak.experiments.review.results import LEVELS, Curve, Line, lines_of
from autoweak.experiments.tables import p_value
from autoweak.tables import format_table

_HEADER = ("data", "order", "seeds", "first", "last", "mean of curve", "difference to random", "p")
_NEEDED = ("data", "order", *(f"{share:.0%} of random's way" for share in LEVELS))
_CHOSEN = "weak_label"


def present(curves: Sequence[Curve], folder: Path, *, settings: Mapping[str, Any], command: str) -> str:
    """Write `report.html` and `metrics.json` into a folder, and give the tables as text.

    Args:
        curves: of all courses.
        folder: made if it is not there.
        settings: of the courses, for the record.
        command: the command line that made this.
    """
    lines = lines_of(curves)
    report = Report(
        title="The review queue: which order learns fastest",
        subtitle="Simulated reviews: a person who answers with the truth.",
        summary=_summary(),
        key_figures=tuple(_figure(line) for line in lines if line.order == _CHOSEN),
        tables=(_main(lines), _needed(lines), _orders()),
        plots=tuple(_plots(lines)),
        provenance=(
            ("command", command),
            ("autoweak", autoweak.__version__),
            ("Python", platform.python_version()),
            *((key, str(value)) for key, value in settings.items()),
        ),
    )
    metrics = {
        "settings": dict(settings),
        "command": command,
        "lines": [line.to_dict() for line in lines],
        "curves": [curve.to_dict() for curve in curves],
    }
    atomic.write_json(folder / "metrics.json", metrics)
    write_report(folder / "report.html", report)
    return "\n\n".join(format_table(table.header, table.rows) for table in report.tables[:2])


def _summary() -> tuple[str, ...]:
    return (
        "Each course begins with a few gold labels. In rounds the coarse model is trained, weak labels with their "
        "quality are made of all images that wait, the first of the order under test are reviewed, and the model is "
        "trained again. Dice is that of the coarse model on images that nothing was learned from.",
        "All orders of a course share its images, its first training and its seed.",
        "Trainings are cheaper than those of autoweak run, so that many fit: Dice here is to be compared between "
        "orders, not with other reports.",
    )


def _figure(line: Line) -> KeyFigure:
    found = line.against_random
    if found is None:
        return KeyFigure(f"{line.data}: {line.order}", "–")
    low, high = found.difference.low, found.difference.high
    return KeyFigure(
        f"{line.data}: Dice above random order", f"{found.difference.mean:+.3f}", f"{low:+.3f} to {high:+.3f}"
    )


def _main(lines: Sequence[Line]) -> Table:
    return Table(
        caption="Dice while reviews come in",
        header=_HEADER,
        rows=tuple(_row(line) for line in lines),
        note=(
            "First: before any review. Last: after the last batch. Mean of curve: over all trainings after the first, "
            "averaged over seeds. Difference: of that mean to random order, seed by seed, with a 95 % bootstrap "
            "interval over seeds, and Wilcoxon's signed-rank test, not corrected for several orders."
        ),
    )


def _row(line: Line) -> tuple[str, ...]:
    means = [summary.mean for _, summary in line.points]
    shown = [f"{means[0]:.3f}", f"{means[-1]:.3f}", f"{sum(means[1:]) / len(means[1:]):.3f}"]
    found = line.against_random
    if found is None:
        return (line.data, line.order, str(line.seeds), *shown, "–", "–")
    difference = found.difference
    said = f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
    return (line.data, line.order, str(line.seeds), *shown, said, p_value(found.p_value) or "–")


def _needed(lines: Sequence[Line]) -> Table:
    return Table(
        caption="Reviews needed to reach a Dice",
        header=_NEEDED,
        rows=tuple((line.data, line.order, *(_reviews(dice, count) for dice, count in line.needed)) for line in lines),
        note=(
            "The levels lie on the way of random order from its first to its last training; in brackets the Dice. "
            "Read off the curve of the mean over seeds, straight between its points; a dash where it stays below."
        ),
    )


def _reviews(dice: float, count: float | None) -> str:
    return f"{'–' if count is None else f'{count:.1f}'} ({dice:.3f})"


def _orders() -> Table:
    rows = tuple((name, (order.__doc__ or "").strip()) for name, order in ORDERS.items())
    return Table(caption="What the orders are", header=("order", "what comes first"), rows=rows, words=True)


def _plots(lines: Sequence[Line]) -> list[Plot]:
    caption = "Mean over seeds; bands: 95 % bootstrap intervals over seeds."
    return [
        Plot(
            f"{data}: Dice over reviews",
            plots.count_curves({line.order: line.points for line in lines if line.data == data}, x="reviews"),
            caption,
        )
        for data in dict.fromkeys(line.data for line in lines)
    ]
