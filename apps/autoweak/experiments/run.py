"""Running an experiment: every cell that is not done yet, over workspaces that share models and embeddings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import autoweak
from autoweak.errors import AutoweakError, ExperimentError
from autoweak.experiments.arms import ARMS, check_arms, entries_of, reference_of
from autoweak.experiments.arms.arm import Array
from autoweak.experiments.arms.bench import ArmContext, Bench
from autoweak.experiments.cells import Cell, CellResult, load_result, save_result
from autoweak.experiments.material import Draw, Known, Material, collect, read_truth, subset
from autoweak.experiments.metrics import ImageScore, score_image
from autoweak.experiments.spec import ArmEntry, Experiment
from autoweak.experiments.synthetic import synthetic_images
from autoweak.loop.context import Context, Problem
from autoweak.progress import Progress, each
from autoweak.tasks import Task
from autoweak.workspace import Workspace, fingerprint

if TYPE_CHECKING:
    from autoweak.promptable import EmbeddingCache, Promptable


@dataclass(frozen=True)
class Numbered:
    """A progress that says before each stage which cell of how many it belongs to."""

    inner: Progress
    number: int
    total: int

    def stage(self, name: str) -> None:
        """A new part of the cell begins."""
        self.inner.stage(f"[{self.number}/{self.total}] {name}")

    def update(self, done: int, total: int, text: str) -> None:
        """`done` of `total` steps of this stage are done."""
        self.inner.update(done, total, text)


@dataclass(frozen=True)
class Plan:
    """An experiment made ready: everything is checked and nothing is trained yet.

    Attributes:
        experiment: what was asked for.
        task: of the experiment.
        context: studies, options and what goes wrong.
        workspace: shared by all experiments on these studies, and by nothing else: it never touches the models that a
            user has trained.
        material: all images.
        entries: the arms, with the ground to stand on.
        reference: the arm that all others are tested against.
        draws_truth: whether pools hold only images whose truth is known.
        promptables: the models that arms name, and under None that of all others, each with its embeddings.
        folder: where the report goes; the workspace has cells, weak labels and models, where all experiments find them.
    """

    experiment: Experiment
    task: Task
    context: Context
    workspace: Workspace
    material: Material
    entries: tuple[ArmEntry, ...]
    reference: str
    draws_truth: bool
    promptables: Mapping[str | None, tuple[Promptable, EmbeddingCache]]
    folder: Path

    def cells(self) -> tuple[Cell, ...]:
        """All cells, those that share a coarse model one after the other."""
        return tuple(
            Cell(entry.name, gold, weak, seed, subset)
            for subset in self.experiment.subsets or (None,)
            for seed in self.experiment.seeds
            for gold in self.experiment.gold
            for entry in self.entries
            for weak in self._weak(entry)
        )

    def entry(self, name: str) -> ArmEntry:
        """The arm of that name."""
        return next(entry for entry in self.entries if entry.name == name)

    def draw(self, cell: Cell) -> Draw:
        """The images of a cell."""
        synthetic = self.entry(cell.name).synthetic or 0
        return self.material.draw(
            gold=cell.gold, weak=cell.weak, seed=cell.draw_seed, truth=self.draws_truth, synthetic=synthetic
        )

    def _weak(self, entry: ArmEntry) -> tuple[int, ...]:
        """How many images of patients an arm gets; synthetic ones alone can be enough."""
        if not ARMS[entry.arm].uses_weak:
            return (0,)
        return tuple(count for count in self.experiment.weak if count or entry.synthetic)


@dataclass(frozen=True)
class Results:
    """What the cells of a plan gave, and which could not be done."""

    plan: Plan
    results: tuple[CellResult, ...]
    failed: tuple[Problem, ...]
    resumed: int


def prepare(experiment: Experiment, task: Task, *, out: Path | None, progress: Progress, **promptable: Any) -> Plan:
    """Check that an experiment can be done, and make it ready.

    Args:
        experiment: with the folders of its data.
        task: of the experiment.
        out: folder for the report; None takes one in the workspace of the studies.
        progress: follows the work.
        promptable: options of `Context.open` that say which promptable model, with which weights, where.

    Raises:
        ExperimentError: it cannot be done with these images, or its arms do not fit the task.
        AutoweakError: studies, policy or promptable model are not as they must be.
    """
    check_arms(experiment, task)
    data = experiment.data
    if data.studies is None or data.images is None or data.labels is None:
        raise ExperimentError("An experiment needs studies, and images with labels to evaluate on.")
    chosen = {**promptable, "promptable": promptable.get("promptable") or experiment.promptable}
    context = Context.open(data.studies, task, progress=progress, **chosen)
    workspace = Workspace(context.workspace.root / "experiments")
    workspace.check_task(task.name)
    loaded: dict[str | None, tuple[Promptable, EmbeddingCache]] = {None: context.load_promptable()}
    for name in sorted({entry.promptable for entry in experiment.arms if entry.promptable}):
        loaded[name] = replace(context, promptable=name, checkpoint=None).load_promptable()
    material = collect(context, truth=data.truth, images=data.images, labels=data.labels)
    if any(entry.synthetic for entry in experiment.arms):
        material = replace(material, synthetic=synthetic_images(context, material.evaluation))
    entries = entries_of(experiment, truth=_truth_suffices(experiment, material))
    plan = Plan(
        experiment=experiment,
        task=task,
        context=context,
        workspace=workspace,
        material=material,
        entries=entries,
        reference=reference_of(experiment, entries),
        draws_truth=any(ARMS[entry.arm].needs_truth for entry in entries),
        promptables=loaded,
        folder=out or workspace.reports / experiment.name,
    )
    for cell in plan.cells():
        plan.draw(cell)
    return plan


def run_cells(plan: Plan) -> Results:
    """Do every cell that is not done yet; one that cannot be done is reported and the others go on."""
    plan.context.workspace.root.mkdir(mode=0o700, exist_ok=True)
    results, failed, resumed = [], [], 0
    cells = plan.cells()
    with plan.workspace.lock():
        for number, cell in enumerate(cells, start=1):
            bench = bench_of(plan, cell, Numbered(plan.context.progress, number, len(cells)))
            found = load_result(plan.workspace.root, cell, bench.key)
            resumed += found is not None
            try:
                results.append(found or _run(plan, cell, bench))
            except AutoweakError as error:
                failed.append(Problem(str(cell), str(error)))
    return Results(plan, tuple(results), tuple(failed), resumed)


def _run(plan: Plan, cell: Cell, bench: Bench) -> CellResult:
    began = time.monotonic()
    predict = bench.arm.make(bench)
    bench.context.progress.stage(f"{cell.name}: evaluating")
    scores: list[ImageScore] = []
    masks: dict[str, Array] = {}
    for known in each(plan.material.evaluation, bench.context.progress):
        truth = read_truth(plan.context, known)
        if truth is None:
            raise ExperimentError(f"The evaluation image {known.image_id} can no longer be read; start again.")
        masks[known.image_id] = predict(truth.view)
        scores.append(
            score_image(
                masks[known.image_id],
                truth.mask,
                labels=bench.labels,
                image_id=known.image_id,
                spacing=truth.image.geometry.spacing,
                hausdorff=plan.experiment.hd95,
            )
        )
    seconds = time.monotonic() - began
    result = CellResult(cell, bench.key, tuple(scores), bench.weak.to_dict(), seconds)
    save_result(plan.workspace.root, result, masks)
    return result


def bench_of(plan: Plan, cell: Cell, progress: Progress) -> Bench:
    """The bench of a cell; nothing is read or trained yet."""
    entry, draw, base = plan.entry(cell.name), plan.draw(cell), plan.context
    context = ArmContext(
        studies=subset(base.studies, draw),
        task=plan.task,
        workspace=plan.workspace,
        policy=base.policy,
        chooses=base.chooses,
        seed=cell.seed,
        progress=progress,
        problems=base.problems,
        notes=base.notes,
        shared=plan.promptables[entry.promptable],
    )
    common = _inputs(plan, entry, draw, cell.seed)
    images = {
        "pool": _plain(draw.pool),
        "synthetic": _plain(draw.synthetic),
        "evaluation": _plain(plan.material.evaluation),
        **({} if entry.length in (None, 1) else {"length": entry.length}),
        **_patients(plan, (*draw.gold, *draw.pool)),
    }
    return Bench(
        arm=ARMS[entry.arm],
        entry=entry,
        context=context,
        draw=draw,
        key=fingerprint({**common, **images, "hd95": plan.experiment.hd95}),
        label_key=fingerprint(common),
        folder=plan.workspace.root / "weak_labels",
    )


def _inputs(plan: Plan, entry: ArmEntry, draw: Draw, seed: int) -> dict[str, Any]:
    """All that the weak labels of an arm depend on beside the image, as plain data."""
    from autoweak.experiments.arms.s4 import recipe_of
    from autoweak.training.recipe import RECIPE
    from autoweak.training.start import start_sha256

    return {
        **_patients(plan, draw.gold),
        "arm": entry.arm,
        "options": entry.label_options(),
        "task": plan.task.model_dump(mode="json", exclude={"segments"}),
        "gold": _plain(draw.gold),
        "promptable": plan.promptables[entry.promptable][0].identity(),
        "recipe": asdict(RECIPE),
        "prompt_recipe": asdict(recipe_of(entry)) if "losses" in ARMS[entry.arm].takes else None,
        "start": start_sha256(),
        "seed": seed,
        "version": autoweak.__version__,
    }


def _patients(plan: Plan, images: tuple[Known, ...]) -> dict[str, dict[str, str]]:
    """Who the images are of, as far as is known: folds, and what each may learn from, depend on it."""
    known = plan.material.patients
    found = {one.image_id: known[one.image_id] for one in images if one.image_id in known}
    return {"patients": found} if found else {}


def _plain(images: tuple[Known, ...]) -> list[list[str]]:
    return [[known.image_id, known.sha256, known.truth_sha256] for known in images]


def _truth_suffices(experiment: Experiment, material: Material) -> bool:
    """Whether every pool can be drawn from images whose truth is known.

    Raises:
        ExperimentError: it cannot, and one of the experiment's own arms needs it.
    """
    try:
        for seed in experiment.subsets or experiment.seeds:
            for gold in experiment.gold:
                material.draw(gold=gold, weak=max(experiment.weak), seed=seed, truth=True)
    except ExperimentError:
        if any(ARMS[entry.arm].needs_truth for entry in experiment.arms):
            raise
        return False
    return True
