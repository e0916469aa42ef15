"""The demo: phantoms made on the spot, and the whole loop on them, in minutes on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoweak.errors import StudiesError
from autoweak.loop.context import Context
from autoweak.loop.evaluate import Evaluation, evaluate
from autoweak.loop.reporting import picture_of, report_evaluation, report_run
from autoweak.loop.run import run, summarise
from autoweak.phantoms.demo import PhantomKind, write_phantom_studies
from autoweak.progress import Progress
from autoweak.tasks import Task, load_task
from autoweak.workspace import FOLDER_NAME

# Small enough for minutes on two cores, large enough for the weak labels to have something to say.
GOLD, UNLABELLED, VALIDATION = 10, 24, 16
_TASK_OF = {
    PhantomKind.ULTRASOUND: "breast_ultrasound",
    PhantomKind.DERMOSCOPY: "skin_lesion",
    PhantomKind.XRAY: "two_lungs",
}
_SHORT_TRAINING: dict[str, Any] = {"size": 96, "epochs": 4, "folds": 2}


@dataclass(frozen=True)
class DemoPart:
    """One kind of phantom: where it lies, the figures of the run and of the evaluation, both reports."""

    kind: str
    folder: Path
    summary: dict[str, Any]
    evaluation: Evaluation
    run_report: Path
    evaluation_report: Path


def demo(out: Path, *, seed: int, progress: Progress) -> tuple[DemoPart, ...]:
    """Make phantoms of each kind in `out`, run the loop on them and measure it; made again, it goes on.

    Raises:
        StudiesError: when `out` holds something else than an earlier demo.
    """
    kinds = list(PhantomKind)
    if out.exists() and (not out.is_dir() or {path.name for path in out.iterdir()} - {kind.value for kind in kinds}):
        raise StudiesError(f"{out} is there already and is no demo: name another folder with --out.")
    return tuple(_part(out / kind.value, kind, seed=seed, progress=progress) for kind in kinds)


def demo_task(kind: PhantomKind) -> Task:
    """The task of a kind of phantom: that of the real images it resembles, with a short training."""
    task = load_task(_TASK_OF[kind])
    coarse = task.coarse.model_copy(update=_SHORT_TRAINING)
    return task.model_copy(update={"name": f"demo_{kind.value}", "coarse": coarse})


def _part(folder: Path, kind: PhantomKind, *, seed: int, progress: Progress) -> DemoPart:
    progress.stage(f"Drawing {kind.value} phantoms")
    if not (folder / "studies" / FOLDER_NAME).is_dir():
        write_phantom_studies(folder, kind, gold=GOLD, unlabelled=UNLABELLED, validation=VALIDATION, seed=seed)
    context = Context.open(folder / "studies", demo_task(kind), seed=seed, progress=progress)
    with context.workspace.lock():
        result = run(context)
        summary = summarise(result)
        run_report = report_run(result, summary)
    pictures = []
    evaluation = evaluate(
        context,
        images=folder / "validation" / "images",
        labels=folder / "validation" / "labels",
        on_case=lambda case: pictures.append(picture_of(case)),
    )
    evaluation_report = report_evaluation(context, evaluation, pictures)
    return DemoPart(kind.value, folder, summary, evaluation, run_report, evaluation_report)
