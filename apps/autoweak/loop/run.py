"""The whole loop: gold, coarse model, weak labels, retraining, publication."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from autoweak.loop.coarse import train_coarse
from autoweak.loop.context import Context
from autoweak.loop.gold import Gold, read_gold
from autoweak.loop.label import Calibration, Labelled, Labeller, calibrated, label
from autoweak.loop.retrain import Decision, publish, retrain
from autoweak.weak_labels import Sidecar, Status
from autoweak.workspace import ModelVersion


@dataclass(frozen=True)
class RunResult:
    """All that a run made, for the report and the summary."""

    context: Context
    gold: tuple[Gold, ...]
    coarse: ModelVersion
    retrained: ModelVersion | None
    labeller: Labeller
    calibration: Calibration
    labelled: Labelled
    decision: Decision


def run(context: Context) -> RunResult:
    """Train coarse, label, retrain, publish; every step is found again if it was done before.

    Raises:
        StudiesError: when there are too few gold labels.
        CheckpointError: when the promptable model cannot be loaded.
    """
    # First what can be refused, then what takes long.
    context.load_promptable()
    gold = read_gold(context)
    coarse = train_coarse(context, gold)
    labeller, calibration = calibrated(Labeller.load(context, coarse), gold)
    labelled = label(labeller)
    retrained = retrain(context, gold, labeller)
    decision = publish(context, coarse, retrained)
    return RunResult(context, gold, coarse, retrained, labeller, calibration, labelled, decision)


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
            },
            "final": {"version": result.decision.final.name, "reason": result.decision.reason},
        },
        "problems": [vars(problem) for problem in result.context.problems],
        "notes": list(dict.fromkeys(result.context.notes)),
    }
