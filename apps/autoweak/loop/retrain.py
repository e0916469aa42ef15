"""Retraining on gold + weak labels, and publishing the result only if it is better.

Weak labels are cross-fitted: those that fold f trains on are made from the coarse member that never saw fold f's
held-out gold. So held-out gold judges gold-only and gold + weak alike, and no held-out label leaks into a training
through the masks it shaped. It does have a small say through what is chosen for all folds: the prompt policy, and the
few numbers of the quality by which weak labels are weighted and rejected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autoweak.arrays import read_arrays
from autoweak.atomic import write_with
from autoweak.errors import ImageError, WorkspaceError
from autoweak.loop.coarse import fit, known_patients, training_inputs
from autoweak.loop.context import Context
from autoweak.loop.gold import Gold
from autoweak.loop.label import Labeller
from autoweak.progress import each
from autoweak.studies import image_sha256
from autoweak.weak_labels import Status, Verdict
from autoweak.workspace import ModelKind, ModelVersion, Workspace, fingerprint

if TYPE_CHECKING:
    from autoweak.studies import Study
    from autoweak.training import Sample


@dataclass(frozen=True)
class Decision:
    """Which model became final, and the Dice on held-out gold (mean over images) that decided it."""

    final: ModelVersion
    gold_only: float
    gold_and_weak: float | None
    reason: str


def retrain(context: Context, gold: tuple[Gold, ...], labeller: Labeller) -> ModelVersion | None:
    """The model of gold + weak labels, or None when no weak label is good enough to train on."""
    inputs = {
        "gold": training_inputs(context, gold),
        "weak": labeller.settings(),
        "images": _contents(context, known_patients(context, gold)),
    }
    key = fingerprint(inputs)
    found = context.workspace.find(ModelKind.RETRAINED, key)
    if found is not None:
        return context.workspace.use(found)
    extra = cross_fitted(context, gold, labeller, folder=context.workspace.run_folder(key) / "weak")
    if not any(extra.values()):
        return None
    context.progress.stage("Retraining on gold + weak")
    return fit(context, gold, kind=ModelKind.RETRAINED, key=key, extra=extra, coarse=labeller.version)


def _contents(context: Context, patients: Mapping[str, str]) -> dict[str, list[str]]:
    """Hash and patient of the unlabelled images: another image under a name, or of another patient, is another one."""
    contents = {}
    for study in context.unlabelled:
        try:
            digest = image_sha256(study.path, study.frame)
        except ImageError:  # told when it is read
            digest = ""
        contents[study.image_id] = [digest, patients.get(study.image_id, "")]
    return contents


def cross_fitted(
    context: Context, gold: tuple[Gold, ...], labeller: Labeller, *, folder: Path
) -> dict[int, list[Sample]]:
    """For each fold the weak samples it may train on, weighted by quality; rejected ones are left out."""
    members = range(len(labeller.coarse.members))
    extra: dict[int, list[Sample]] = {member: [] for member in members}
    known = {item.image.sha256 for item in gold}
    patients = known_patients(context, gold)
    held_out = [_held_out(fold, gold, patients) for fold in labeller.coarse.card.folds]
    context.progress.stage("Weak labels for each fold")
    for study in each(context.unlabelled, context.progress):
        # Another image of a held-out patient must not be learned from either, nor what was drawn after one.
        behind = _behind(context, study, patients)
        allowed = [member for member in members if not behind & held_out[member]]
        for member, sample in _samples(context, labeller, study, members=allowed, folder=folder, known=known):
            extra[member].append(sample)
    return extra


def _held_out(fold: Sequence[str], gold: tuple[Gold, ...], patients: Mapping[str, str]) -> set[str]:
    """Patients and hashes of the images that a fold holds out."""
    hashes = {item.image.sha256 for item in gold if item.study.image_id in fold}
    return hashes | {patients[image_id] for image_id in fold if image_id in patients}


def _behind(context: Context, study: Study, patients: Mapping[str, str]) -> set[str]:
    """Patients, and hashes of other images, that an image has something of.

    A synthetic image has something of all that its generator learned from.
    """
    own = {patients[study.image_id]} if study.image_id in patients else set()
    if not context.synthetic.may_hold(study):
        return own
    read = context.read(study)
    if read is None or not context.synthetic.holds(read[0]):
        return own
    seen = context.synthetic.learned_from(read[0])
    if seen is None:
        context.notes.append(
            f"{study.image_id} is synthetic, and what its generator learned from is not known here: if it has seen "
            "gold images, the Dice on held-out gold is too good."
        )
        return own
    return own | set(seen) | {patients[image_id] for image_id in seen.values() if image_id in patients}


def _samples(
    context: Context, labeller: Labeller, study: Study, *, members: list[int], folder: Path, known: set[str]
) -> list[tuple[int, Sample]]:
    from autoweak.training import Sample

    read = context.read(study)
    # A copy of a gold image would bring held-out gold into the training.
    if read is None or read[0].sha256 in known:
        return []
    view = read[1]
    samples = []
    for member in members:
        path = folder / f"fold{member}" / f"{study.image_id}.npz"
        stored = _load(path, shape=view.shape[:3])
        if stored is None:
            weak = labeller.generate(view, member=member).weak
            usable = weak.status is Status.LABELLED and weak.verdict is not Verdict.REJECT
            stored = weak.mask, float(weak.quality or 0.0) if usable else 0.0
            _save(path, *stored)
        if stored[1] > 0:
            samples.append((member, Sample(image_id=study.image_id, view=view, mask=stored[0], weight=stored[1])))
    return samples


def publish(context: Context, coarse: ModelVersion, retrained: Sequence[ModelVersion]) -> Decision:
    """Make the best the final model: one of gold + weak only if its Dice on held-out gold is higher than of gold."""
    gold_only, best = held_out_gold(context.workspace, coarse), best_of(context.workspace, retrained)
    if best is None:
        nothing = "no weak label was good enough to train on" if context.unlabelled else "no image is without a label"
        decision = Decision(coarse, gold_only, None, nothing)
    else:
        score = held_out_gold(context.workspace, best)
        reason = f"Dice on held-out gold {score:.3f} with weak labels, {gold_only:.3f} without"
        reason += _chance(context.workspace.record(coarse), context.workspace.record(best))
        decision = Decision(best if score > gold_only else coarse, gold_only, score, reason)
    context.workspace.publish(decision.final, reason=decision.reason)
    return decision


def _chance(coarse: Mapping[str, Any], retrained: Mapping[str, Any]) -> str:
    """How sure the difference is, image by image."""
    before, after = coarse.get("cv_dice") or {}, retrained.get("cv_dice") or {}
    gains = [after[image_id] - before[image_id] for image_id in sorted(before.keys() & after.keys())]
    if len(gains) < 2:
        return ""
    error = float(np.std(gains, ddof=1) / np.sqrt(len(gains)))
    told = f"; standard error of the difference {error:.3f}"
    return told + ", so it may be chance" if abs(float(np.mean(gains))) <= 2 * error else told


def held_out_gold(workspace: Workspace, version: ModelVersion) -> float:
    """Mean Dice of a version on gold that it has not seen, 0 to 1."""
    return float(workspace.record(version)["mean_cv_dice"])


def best_of(workspace: Workspace, versions: Sequence[ModelVersion]) -> ModelVersion | None:
    """The version that does best on held-out gold, the first of equal ones; None of none."""
    return max(versions, key=lambda version: held_out_gold(workspace, version), default=None)


def current_coarse(context: Context) -> ModelVersion:
    """The coarse model of the workspace that was trained, or found to fit, last.

    Raises:
        WorkspaceError: when there is none.
    """
    version = context.workspace.current(ModelKind.COARSE)
    if version is None:
        raise WorkspaceError(
            f"{context.studies.root} has no coarse model yet: run `autoweak train {context.studies.root}` first."
        )
    return version


def labelling_version(workspace: Workspace, coarse: ModelVersion) -> ModelVersion:
    """The model whose maps become prompts: the final one where it came of weak labels by `coarse`, else `coarse`."""
    final = workspace.published_version()
    if final is not None and final.kind is ModelKind.RETRAINED and workspace.record(final).get("root") == coarse.name:
        return final
    return coarse


def _save(path: Path, mask: npt.NDArray[Any], weight: float) -> None:
    def write(partial: Path) -> None:
        with partial.open("wb") as stream:
            np.savez_compressed(stream, mask=mask, weight=np.float64(weight))

    write_with(path, write)


def _load(path: Path, *, shape: tuple[int, ...]) -> tuple[npt.NDArray[Any], float] | None:
    stored = read_arrays(path)
    if stored.keys() != {"mask", "weight"} or stored["mask"].shape != shape or stored["weight"].shape != ():
        return None
    return stored["mask"], float(stored["weight"])
