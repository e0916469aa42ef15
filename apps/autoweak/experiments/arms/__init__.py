"""The arms there are, and the checks that an experiment can be done with them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from autoweak.errors import ExperimentError
from autoweak.experiments.arms import ground, s1, s2, s3, s4
from autoweak.experiments.arms.arm import Arm, Predict, Role
from autoweak.experiments.spec import ArmEntry, Experiment

if TYPE_CHECKING:
    from autoweak.tasks import Task

ARMS: Mapping[str, Arm] = {arm.name: arm for module in (ground, s1, s2, s3, s4) for arm in module.ARMS}

__all__ = ["ARMS", "Arm", "Predict", "Role", "check_arms", "entries_of", "reference_of"]


def check_arms(experiment: Experiment, task: Task) -> None:
    """Refuse arms that do not exist, options that they do not take, and tasks that they cannot do.

    Raises:
        ExperimentError: what was wrong, in one sentence.
        PromptError: an arm names a prompt policy that there is not.
    """
    from autoweak.loop.context import policy_of
    from autoweak.loop.gold import MINIMUM_GOLD

    for entry in experiment.arms:
        if entry.arm not in ARMS:
            close = difflib.get_close_matches(entry.arm, ARMS, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ExperimentError(f"There is no arm {entry.arm!r}{hint}; the arms are {', '.join(ARMS)}.")
        arm = ARMS[entry.arm]
        for option in entry.options():
            if option not in arm.takes:
                known = ", ".join(sorted(arm.takes)) or "none"
                raise ExperimentError(f"Arm {arm.name} takes no option {option!r}; its options are: {known}.")
        if arm.one_label and task.num_labels > 1:
            raise ExperimentError(
                f"Arm {arm.name} cannot tell labels apart, and task {task.name} has {task.num_labels}: leave it out."
            )
        if (arm.uses_gold or entry.keep_gold) and min(experiment.gold) < MINIMUM_GOLD:
            raise ExperimentError(
                f"Arm {arm.name} needs at least {MINIMUM_GOLD} gold labels, and gold lists {min(experiment.gold)}."
            )
        if arm.uses_weak and max(experiment.weak) < 1 and not entry.synthetic:
            raise ExperimentError(f"Arm {arm.name} learns from weak labels: let weak list a number above 0.")
        policy_of(task, entry.policy, options=entry.policy_options)


def entries_of(experiment: Experiment, *, truth: bool) -> tuple[ArmEntry, ...]:
    """The arms of an experiment with the ground to stand on: arms that any method must beat, and the bound.

    Args:
        experiment: its own arms come first. Its `length` becomes that of arms that train on weak labels and have none.
        truth: whether the truth of enough unlabelled images is known for arms that need it.
    """
    return tuple(_as_long(entry, experiment.length) for entry in _with_ground(experiment, truth=truth))


def _as_long(entry: ArmEntry, length: float | None) -> ArmEntry:
    arm = ARMS[entry.arm]
    if length is None or entry.length is not None or not arm.uses_weak or "length" not in arm.takes:
        return entry
    return entry.model_copy(update={"length": length})


def _with_ground(experiment: Experiment, *, truth: bool) -> tuple[ArmEntry, ...]:
    if not experiment.ground:
        return experiment.arms
    with_gold = any(ARMS[entry.arm].uses_gold for entry in experiment.arms)
    from_boxes = any(ARMS[entry.arm].from_boxes for entry in experiment.arms)
    # A reference that trains for longer does not stand in for the one that all are tested against.
    there = {entry.arm for entry in experiment.arms if not (ARMS[entry.arm].role is Role.REFERENCE and entry.length)}
    there |= {entry.name for entry in experiment.arms}
    added = [
        ArmEntry(arm=arm.name)
        for arm in ARMS.values()
        if arm.role is not Role.METHOD
        and arm.name not in there
        and arm.uses_gold == with_gold
        and (from_boxes or not arm.from_boxes)
        and (truth or not arm.needs_truth)
        and (max(experiment.weak) > 0 or not arm.uses_weak)
    ]
    first = [entry for entry in added if ARMS[entry.arm].role is Role.REFERENCE]
    return (*first, *experiment.arms, *(entry for entry in added if entry not in first))


def reference_of(experiment: Experiment, entries: tuple[ArmEntry, ...]) -> str:
    """The name of the arm that all others are tested against.

    Raises:
        ExperimentError: the file names an arm that is not there, or none of the arms can be it.
    """
    names = [entry.name for entry in entries]
    if experiment.reference is not None:
        if experiment.reference not in names:
            raise ExperimentError(
                f"The reference {experiment.reference!r} is not among the arms {', '.join(names)}; name one of them."
            )
        return experiment.reference
    for role in (Role.REFERENCE, Role.BOUND):
        for entry in entries:
            if ARMS[entry.arm].role is role:
                return entry.name
    return names[0]
