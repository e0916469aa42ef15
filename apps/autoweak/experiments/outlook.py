"""What is still to do of an experiment, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoweak.errors import AutoweakError
from autoweak.experiments.arms.bench import ArmContext, Bench
from autoweak.experiments.cells import load_result
from autoweak.experiments.run import Plan, bench_of
from autoweak.loop.coarse import training_inputs
from autoweak.loop.gold import read_gold
from autoweak.progress import NoProgress
from autoweak.workspace import ModelKind, fingerprint


@dataclass(frozen=True)
class Outlook:
    """Work that is done and work to do.

    Attributes:
        cells: of the experiment; `done`: how many are kept already, by this or another experiment on the studies.
        coarse: coarse models to train, each shared by all arms with the same gold labels and seed.
        others: cells that train something of their own; fewer trainings, where arms end up with equal weak labels.
        networks: how many networks are trained for each; `epochs`: how long, from the shortest to the longest.
    """

    cells: int
    done: int
    coarse: int
    others: int
    networks: int
    epochs: tuple[int, int]

    def __str__(self) -> str:
        """As the command line says it before it begins."""
        if self.done == self.cells:
            return f"Plan: all {self.cells} cells are done already; nothing to train."
        return (
            f"Plan: {self.cells} cells, {self.done} done already; to train: coarse models {self.coarse}, others at "
            f"most {self.others} (networks each: {self.networks}, epochs each: {self._range()}; learned prompts have a "
            "recipe of their own)."
        )

    def _range(self) -> str:
        shortest, longest = self.epochs
        return str(longest) if shortest == longest else f"{shortest} to {longest}"


def outlook(plan: Plan) -> Outlook:
    """Look up what is there; nothing is trained or written."""
    settings = plan.task.coarse
    missing = []
    for cell in plan.cells():
        bench = bench_of(plan, cell, NoProgress())
        if load_result(plan.workspace.root, cell, bench.key) is None:
            missing.append((cell, bench))
    coarse = {(cell.gold, cell.repeat): bench.context for cell, bench in missing if _needs_coarse(bench)}
    trainings = [bench.epochs for _, bench in missing if _trains(bench)]
    return Outlook(
        cells=len(plan.cells()),
        done=len(plan.cells()) - len(missing),
        coarse=sum(not _is_trained(context) for context in coarse.values()),
        others=len(trainings),
        networks=settings.folds,
        epochs=(min([settings.epochs, *trainings]), max([settings.epochs, *trainings])),
    )


def _trains(bench: Bench) -> bool:
    return bench.arm.trains or bench.length != 1


def _needs_coarse(bench: Bench) -> bool:
    return bench.arm.uses_gold and bench.arm.needs_coarse


def _is_trained(context: ArmContext) -> bool:
    aside = replace(context, problems=[], notes=[])
    try:
        key = fingerprint(training_inputs(aside, read_gold(aside)))
    except AutoweakError:
        return False
    return context.workspace.find(ModelKind.COARSE, key) is not None
