"""Which way weak labels are made on these studies: tried on held-out gold once for each coarse model, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import autoweak
from autoweak.atomic import write_json
from autoweak.errors import PromptError
from autoweak.loop.coarse import gold_patients
from autoweak.loop.context import Context
from autoweak.prompts import PromptPolicy
from autoweak.weak_labels.choose import Choice, Seen, Trial, candidates, choose
from autoweak.workspace import fingerprint

if TYPE_CHECKING:
    from autoweak.loop.gold import Gold
    from autoweak.promptable import EmbeddingCache, Promptable
    from autoweak.training import TrainedModel

CHOICES = "policies"
"""Folder of the workspace: one file for each coarse model, promptable model and beginning that was chosen for."""


def choose_policy(
    context: Context,
    gold: tuple[Gold, ...],
    *,
    coarse: TrainedModel,
    promptable: Promptable,
    cache: EmbeddingCache,
) -> Choice:
    """The way to make weak labels with these models: the one kept from before, or tried now on held-out gold."""
    from autoweak.progress import each

    known = kept_choice(context, coarse=coarse, promptable=promptable)
    if known is not None:
        return known
    context.progress.stage("Choosing the prompt policy on gold")
    seen = (
        Seen(item.view, coarse.predict_out_of_fold(item.study.image_id, item.view), item.mask)
        for item in each(gold, context.progress)
    )
    labels = tuple(context.task.labels.values())
    choice = choose(
        context.policy,
        seen,
        model=promptable,
        cache=cache,
        labels=labels,
        seed=context.seed,
        patients=gold_patients(context, gold),
    )
    write_json(_path(context, coarse, promptable), _plain(choice))
    return choice


def kept_choice(context: Context, *, coarse: TrainedModel, promptable: Promptable) -> Choice | None:
    """The choice that was made with these models, or None where there is none, or none that can be read."""
    content = _read(_path(context, coarse, promptable))
    try:
        trials = tuple(
            Trial(PromptPolicy(**trial["policy"]), tuple(float(value) for value in trial["dice"]))
            for trial in content["trials"]
        )
        return Choice(PromptPolicy(**content["policy"]), str(content["reason"]), trials)
    except (PromptError, KeyError, TypeError, ValueError):
        return None


def policy_in_use(context: Context, *, coarse: TrainedModel, promptable: Promptable) -> PromptPolicy:
    """The policy that makes weak labels with these models: the chosen one, or that of the context."""
    known = kept_choice(context, coarse=coarse, promptable=promptable) if context.chooses else None
    return context.policy if known is None else known.policy


def _path(context: Context, coarse: TrainedModel, promptable: Promptable) -> Path:
    made_with = {
        "coarse": coarse.sha256,
        "promptable": promptable.identity(),
        "ways": [way.to_dict() for way in candidates(context.policy)],
        "seed": context.seed,
        "version": autoweak.__version__,
    }
    return context.workspace.root / CHOICES / f"{fingerprint(made_with)[:32]}.json"


def _plain(choice: Choice) -> dict[str, Any]:
    trials = [{"policy": trial.policy.to_dict(), "dice": list(trial.dice)} for trial in choice.trials]
    return {"policy": choice.policy.to_dict(), "reason": choice.reason, "trials": trials}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
