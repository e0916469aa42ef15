"""`autoweak experiment`: from parsed arguments to the outcome that the command line shows."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from autoweak.errors import ExperimentError
from autoweak.experiments.outlook import outlook
from autoweak.experiments.presenting import present
from autoweak.experiments.results import rows_of
from autoweak.experiments.run import Results, prepare, run_cells
from autoweak.experiments.spec import FOLDERS, load_experiment, with_folders
from autoweak.experiments.tables import HEADER, cells_of
from autoweak.loop.context import Problem
from autoweak.outcome import Outcome
from autoweak.progress import BarProgress
from autoweak.tables import format_table
from autoweak.tasks import load_task

_PROMPTABLE = ("promptable", "checkpoint", "device", "precision")


def experiment(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Run the cells that are not done yet, and report.

    Raises:
        AutoweakError: the experiment cannot be done as asked; see `run.prepare`.
    """
    chosen, path = load_experiment(arguments.file)
    chosen = with_folders(chosen, **{key: getattr(arguments, key) for key in FOLDERS})
    if arguments.seed is not None:
        if arguments.seed < 0:
            raise ExperimentError(f"--seed must be 0 or more, got {arguments.seed}.")
        chosen = chosen.model_copy(update={"seeds": (arguments.seed,)})
    options = {key: getattr(arguments, key) for key in _PROMPTABLE}
    plan = prepare(chosen, load_task(_task_of(chosen.task, path)), out=arguments.out, progress=progress, **options)
    progress.say(str(outlook(plan)))
    results = run_cells(plan)
    if not results.results:
        raise ExperimentError(f"No cell of {chosen.name} could be done: {results.failed[0].reason}")
    report, metrics = present(results, source=path.read_text(encoding="utf-8-sig"), command=_command(arguments))
    problems = (*results.failed, *plan.context.problems)
    return Outcome({**metrics, "report": str(report)}, f"{_text(results)}\n\nReport: {report}", _unique(problems))


def _task_of(task: str, path: Path) -> str:
    """A task's name, or its file: relative to the experiment file."""
    return str(path.parent / task) if task.lower().endswith((".yaml", ".yml")) else task


def _text(results: Results) -> str:
    header = ("arm", "gold + weak", "Dice", "95 % interval", "difference", "p (Holm)", "above the ground")
    places = [HEADER.index(name) for name in header]
    return format_table(header, [[cells_of(row)[place] for place in places] for row in rows_of(results)])


def _command(arguments: argparse.Namespace) -> str:
    """The command line that does this again, every option that is set written out."""
    words = ["autoweak", "experiment", str(arguments.file)]
    for key in (*FOLDERS, "out", "seed", *_PROMPTABLE):
        value = getattr(arguments, key)
        if value is not None and value != "auto":
            words += [f"--{key}", str(value)]
    return shlex.join(words)


def _unique(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problems))
