"""The whole loop: gold, coarse model, weak labels, retraining, publication."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from autoweak.loop.coarse import train_coarse
from autoweak.loop.context import Context
from autoweak.loop.gold import Gold, read_gold
from autoweak.loop.label import Calibration, Labelled, Labeller, calibrated, label
from autoweak.loop.retrain import Decision, best_of
from autoweak.loop.rounds import Improved, improve
from autoweak.weak_labels import Sidecar, Status
from autoweak.workspace import ModelVersion


@dataclass(frozen=True)
class RunResult:
    """All that a run made, for the report and the summary."""

    context: Context
    gold: tuple[Gold, ...]
    coarse: ModelVersion
    improved: Improved
    labelled: Labelled

    @property
    def labeller(self) -> Labeller:
        """What made the weak labels."""
        return self.improved.labeller

    @property
    def calibration(self) -> Calibration:
        """Of the labeller."""
        return self.improved.calibration

    @property
    def decision(self) -> Decision:
        """Which model became final."""
        return self.improved.decision

    @property
    def retrained(self) -> ModelVersion | None:
        """The best model of gold + weak labels."""
        return best_of(self.context.workspace, self.improved.retrained)


def run(context: Context) -> RunResult:
    """Train coarse, retrain on weak labels, publish, label with the best; what was done before is found again.

    Raises:
        StudiesError: when there are too few gold labels.
        CheckpointError: when the promptable model cannot be loaded.
    """
    # First what can be refused, then what takes long.
    context.load_promptable()
    gold = read_gold(context)
    coarse = train_coarse(context, gold)
    labeller, calibration = calibrated(Labeller.load(context, coarse), gold)
    improved = improve(context, gold, labeller, calibration)
    labelled = label(improved.labeller)
    return RunResult(context, gold, coarse, improved, labelled)


def count_verdicts(sidecars: tuple[Sidecar, ...]) -> dict[str, int]:
    """How many weak labels there are of each verdict, and how many images with nothing found."""
    counts = Counter(
        Status.NOTHING_FOUND.value if sidecar.verdict is None else sidecar.verdict.value for sidecar in sidecars
    )
    return {key: counts.get(key, 0) for key in ("accept", "review", "reject", Status.NOTHING_FOUND.value)}


def summarise(result: RunResult) -> dict[str, Any]:
    """The figures of a run as plain data."""
    record = result.context.workspace.record
    qualities = [one.quality for one in result.labelled.sidecars if one.quality is not None]
    return {
        "task": result.context.task.name,
        "seed": result.context.seed,
        "gold": len(result.gold),
        "unlabelled": len(result.context.studies.unlabelled),
        "weak_labels": count_verdicts(result.labelled.sidecars),
        "synthetic": {
            "images": len(result.context.synthetic.studies),
            "weak_labels": count_verdicts(result.labelled.synthetic),
        },
        "mean_quality": sum(qualities) / len(qualities) if qualities else None,
        "policy": result.labeller.policy.to_dict(),
        "policy_reason": None if result.calibration.choice is None else result.calibration.choice.reason,
        "promptable": {"name": result.labeller.promptable.name, "sha256": result.labeller.promptable.sha256},
        "models": {
            "coarse": {"version": result.coarse.name, "held_out_gold_dice": record(result.coarse)["mean_cv_dice"]},
            "retrained": None
            if result.retrained is None
            else {
                "version": result.retrained.name,
                "held_out_gold_dice": record(result.retrained)["mean_cv_dice"],
                "weak_labels_used": record(result.retrained)["weak"],
                "synthetic_used": record(result.retrained).get("synthetic", 0),
                "rounds": [
                    {"version": version.name, "held_out_gold_dice": record(version)["mean_cv_dice"]}
                    for version in result.improved.retrained
                ],
            },
            "final": {"version": result.decision.final.name, "reason": result.decision.reason},
        },
        "problems": [vars(problem) for problem in result.context.problems],
        "notes": list(dict.fromkeys(result.context.notes)),
    }
