"""The report of an experiment, with `metrics.json` and the experiment file beside it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import autoweak
from autoweak import atomic
from autoweak.experiments import plots, tables
from autoweak.experiments.arms import Role
from autoweak.experiments.cells import CellResult, load_masks
from autoweak.experiments.material import Known, read_truth
from autoweak.experiments.metrics import Summary
from autoweak.experiments.pictures import CaseLayers, PictureFormat, draw_case
from autoweak.experiments.report import Exhibit, KeyFigure, Plot, Problem, Report, Table, write_report
from autoweak.experiments.results import Row, rows_of
from autoweak.experiments.run import Plan, Results
from autoweak.experiments.spec import Experiment
from autoweak.progress import each
from autoweak.workspace import fingerprint

if TYPE_CHECKING:
    from autoweak.promptable import Promptable

Curves = dict[str, list[tuple[int, Summary]]]
_LIBRARIES = ("torch", "monai", "numpy", "scipy", "scikit-image", "segment-anything")
_DISCLAIMER = "Research use only: not for diagnosis or treatment."
EXTREME_DANGER = (
    "drop_extreme was used. It takes any weak label for a failure in which one class, background included, covers more "
    "than that share of the image, and so throws away small objects: of S1's own 25 gold masks of breast lesions, 7 "
    "would fall to its 0.97."
)


def present(results: Results, *, source: str, command: str) -> tuple[Path, dict[str, Any]]:
    """Write report, metrics and copies of experiment file and task; give the report's path and the metrics.

    Args:
        results: of the cells.
        source: text of the experiment file.
        command: the command line that made this.
    """
    plan = results.plan
    rows = rows_of(results)
    metrics = _metrics(results, rows, command)
    task = yaml.safe_dump(plan.task.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    report = Report(
        title=f"{plan.experiment.name}: arms compared",
        subtitle=f"{plan.experiment.description or plan.task.description} {_today()}",
        summary=_summary(results),
        key_figures=tuple(_figures(rows, plan)),
        tables=(
            tables.main_table(rows, plan),
            *tables.layout_table(rows),
            *tables.weak_table(rows),
            tables.arms_table(plan),
            *_notes(plan),
        ),
        plots=tuple(_plots(rows)),
        exhibits=tuple(_exhibits(results)),
        problems=_problems(results),
        provenance=tuple(provenance(plan, command).items()),
        sources=(("The experiment file", source), ("The task", task)),
    )
    path = plan.folder / "report.html"
    atomic.write_json(plan.folder / "metrics.json", metrics)
    atomic.write_text(plan.folder / "experiment.yaml", source)
    atomic.write_text(plan.folder / "task.yaml", task)
    write_report(path, report)
    return path, metrics


def provenance(plan: Plan, command: str) -> dict[str, str]:
    """All that is needed to run it again, beside the experiment file."""
    groups = {key: getattr(plan.material, key) for key in ("gold", "unlabelled", "synthetic", "evaluation")}
    data = plan.experiment.data
    return {
        "command": command,
        "autoweak": autoweak.__version__,
        "Python": platform.python_version(),
        "libraries": ", ".join(f"{library} {version(library)}" for library in _LIBRARIES),
        "machine": f"{platform.system()} {platform.machine()}",
        "task": f"{plan.task.name}, {plan.task.sha256}",
        "promptable model": "; ".join(_identity(loaded[0]) for loaded in plan.promptables.values()),
        **{key: str(path) for key, path in data.model_dump().items() if path is not None},
        **{f"{key}: SHA-256 of all": f"{_hash(known)} ({len(known)} images)" for key, known in groups.items()},
    }


def _metrics(results: Results, rows: Sequence[Row], command: str) -> dict[str, Any]:
    plan = results.plan
    return {
        "experiment": plan.experiment.model_dump(mode="json"),
        "reference": plan.reference,
        "rows": [row.to_dict() for row in rows],
        "cells": [
            {**vars(result.cell), "key": result.key, "seconds": result.seconds, "weak_labels": dict(result.weak)}
            for result in results.results
        ],
        "failed": [vars(problem) for problem in results.failed],
        "problems": [vars(problem) for problem in plan.context.problems],
        "notes": list(dict.fromkeys(plan.context.notes)),
        "provenance": provenance(plan, command),
    }


def _summary(results: Results) -> tuple[str, ...]:
    plan = results.plan
    material, experiment = plan.material, plan.experiment
    drawn = "images whose truth is known" if plan.draws_truth else "unlabelled images and gold ones not drawn"
    sentences = [
        f"{len(plan.entries)} arms on {len(material.evaluation)} evaluation images, of which nothing was learned; "
        f"{_repetitions(experiment)}. {len(results.results)} cells, {results.resumed} found done.",
        f"Each {'subset' if experiment.subsets else 'seed'} draws the gold labels out of {len(material.gold)}, and the "
        f"images for weak labels out of {drawn}.",
        "All arms that train use this project's network, start weights and recipe, so that they differ in their labels "
        "and options alone; the papers' own networks and recipes are others.",
    ]
    longer = sorted({entry.length for entry in plan.entries if entry.length not in (None, 1)})
    if longer:
        times = " or ".join(f"{length:g}" for length in longer)
        sentences.append(f"Some train {times} times as long as the coarse model: see the options in the table of arms.")
    if any(entry.drop_extreme is not None for entry in plan.entries):
        sentences.append(EXTREME_DANGER)
    return (*sentences, _DISCLAIMER)


def _repetitions(experiment: Experiment) -> str:
    seeds = f"seeds {', '.join(map(str, experiment.seeds))}"
    if experiment.subsets is None:
        return seeds
    return f"subsets {', '.join(map(str, experiment.subsets))}, each with {seeds}"


def _figures(rows: Sequence[Row], plan: Plan) -> Iterator[KeyFigure]:
    reference = [row for row in rows if row.name == plan.reference]
    methods = [row for row in rows if row.role is Role.METHOD]
    bounds = [row for row in rows if row.role is Role.BOUND and row.name != plan.reference]
    for title, chosen in (("Dice, reference", reference), ("Dice, best method", methods), ("Dice, bound", bounds)):
        if chosen:
            best = max(chosen, key=lambda row: row.summary.mean)
            yield KeyFigure(title, f"{best.summary.mean:.3f}", f"{best.name}, {best.gold} + {best.weak}")
    if methods:
        above = sum(row.not_above == () for row in methods)
        yield KeyFigure("Above the ground", f"{above} of {len(methods)}", "methods by numbers of labels")


def _plots(rows: Sequence[Row]) -> Iterator[Plot]:
    names = list(dict.fromkeys(row.name for row in rows))
    most = {
        name: max((row for row in rows if row.name == name), key=lambda row: (row.gold, row.weak)) for name in names
    }
    yield Plot(
        "Dice of every image",
        plots.dice_plot({name: list(row.dice.values()) for name, row in most.items()}),
        "Mean over seeds, with the largest number of labels of each arm.",
    )
    for title, x, curves, least in _learning_curves(rows, names):
        shown = {name: sorted(points, key=_count) for name, points in curves.items() if len(points) >= least}
        if shown:
            picture = plots.count_curves(shown, x=x, order=names)
            yield Plot(title, picture, "Bars: 95 % intervals over images; arms are set side by side.")


def _learning_curves(rows: Sequence[Row], names: Sequence[str]) -> Iterator[tuple[str, str, Curves, int]]:
    """Dice over weak labels for each number of gold ones, and the other way round; with how many points are a curve."""
    for gold in sorted({row.gold for row in rows}):
        start = [(0, row.summary) for row in rows if row.role is Role.REFERENCE and row.gold == gold]
        of_gold = [row for row in rows if row.gold == gold and row.weak]
        curves = {name: start + [(row.weak, row.summary) for row in of_gold if row.name == name] for name in names}
        yield f"Learning curves, {gold} gold labels", "weak labels", curves, 3
    for weak in sorted({row.weak for row in rows if row.weak}):
        of_weak = [row for row in rows if row.weak in (0, weak)]
        curves = {name: [(row.gold, row.summary) for row in of_weak if row.name == name] for name in names}
        yield f"Learning curves, {weak} weak labels", "gold labels", curves, 2


def _count(point: tuple[int, Summary]) -> int:
    return point[0]


def _exhibits(results: Results) -> Iterator[Exhibit]:
    """Best, median and worst evaluation image of each arm, in its first seed with the most labels."""
    plan = results.plan
    plan.context.progress.stage("Pictures for the report")
    chosen: dict[str, CellResult] = {}
    for result in results.results:
        before = chosen.get(result.cell.name)
        if before is None or _labels(result) > _labels(before):
            chosen[result.cell.name] = result
    images = {known.image_id: known for known in plan.material.evaluation}
    for result in each(list(chosen.values()), plan.context.progress):
        ranked = sorted(result.scores, key=lambda score: (score.dice, score.image_id))
        picks = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
        masks = load_masks(plan.workspace.root, result.key, [score.image_id for score in picks.values()])
        for which, score in picks.items():
            known, mask = images[score.image_id], masks.get(score.image_id)
            if mask is not None:
                yield from _exhibit(plan, known, mask, title=f"{result.cell}: {which}", dice=score.dice)


def _exhibit(plan: Plan, known: Known, mask: Any, *, title: str, dice: float) -> Iterator[Exhibit]:
    truth = read_truth(plan.context, known)
    if truth is not None:
        layers = CaseLayers(truth.view, weak=mask, truth=truth.mask, weak_title="This arm")
        picture = draw_case(layers, picture_format=PictureFormat.JPEG, long_side=200)
        yield Exhibit(title, picture, f"{known.image_id}, Dice {dice:.2f}")


def _labels(result: CellResult) -> tuple[int, int]:
    return result.cell.gold, result.cell.weak


def _problems(results: Results) -> tuple[Problem, ...]:
    found = [*results.failed, *results.plan.context.problems]
    return tuple(Problem(problem.image_id, problem.reason) for problem in found)


def _notes(plan: Plan) -> tuple[Table, ...]:
    notes = list(dict.fromkeys(plan.context.notes))
    rows = tuple((note,) for note in notes[:200])
    return (Table(caption="Notes", header=("what was noticed",), rows=rows, words=True),) if rows else ()


def _identity(model: Promptable) -> str:
    name, sha256, contract, precision = model.identity()
    return f"{name} ({contract}, {precision}), {sha256}"


def _hash(known: Sequence[Known]) -> str:
    return fingerprint([[one.image_id, one.sha256, one.truth_sha256] for one in known])


def _today() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d")
