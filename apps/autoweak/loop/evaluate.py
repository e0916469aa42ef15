"""Measuring the arms of the loop against the truth: gold only, weak labels, gold + weak, and the final model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from autoweak.errors import AutoweakError, ImageError, StudiesError
from autoweak.experiments.metrics import (
    BAD_DICE,
    Comparison,
    ImageScore,
    Summary,
    Trust,
    compare,
    rank_correlation,
    roc_area,
    score_image,
    summarise,
)
from autoweak.loop.coarse import load_model
from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.loop.label import Labeller, calibrated
from autoweak.loop.masks import mask_of
from autoweak.loop.retrain import best_of, current_coarse, labelling_version
from autoweak.progress import each
from autoweak.studies import Study, image_sha256, list_images, read_label
from autoweak.studies.patients import Patients, read_patients, told_of_evaluation
from autoweak.tables import format_table
from autoweak.weak_labels.verdict import Status, Verdict
from autoweak.workspace import ModelChoice, ModelKind, ModelVersion

if TYPE_CHECKING:
    from autoweak.training import TrainedModel
    from autoweak.weak_labels import WeakLabel

    Array = npt.NDArray[Any]

GOLD_ONLY, WEAK, GOLD_AND_WEAK = "gold only", "weak label", "gold + weak"


@dataclass(frozen=True)
class Case:
    """One image with known truth: scores an arm, and what is needed to show it.

    The arrays are the 8-bit view (S, H, W, C), coarse map (S, K, H, W), weak label and truth (S, H, W).
    """

    study: Study
    scores: Mapping[str, ImageScore]
    weak: WeakLabel
    view: Array
    coarse_map: Array
    truth: Array


@dataclass(frozen=True)
class Evaluation:
    """Scores of all arms on the same images."""

    arms: Mapping[str, tuple[ImageScore, ...]]
    models: Mapping[str, str]
    final: str
    held_out: str
    qualities: Mapping[str, float | None]
    verdicts: Mapping[str, str]
    empty: frozenset[str]
    of_gold: bool = False

    def dice(self, arm: str) -> dict[str, float]:
        """Image id to mean Dice over the labels."""
        return {score.image_id: score.dice for score in self.arms[arm]}

    def dice_of_objects(self, arm: str) -> dict[str, float]:
        """The same of the images whose truth is not empty."""
        return {image_id: dice for image_id, dice in self.dice(arm).items() if image_id not in self.empty}

    def trust(self) -> Trust:
        """How far the quality of the weak labels tells their Dice."""
        dice = self.dice_of_objects(WEAK)
        values = list(dice.values())
        qualities = [self.qualities[image_id] or 0.0 for image_id in dice]
        bad = [value < BAD_DICE for value in values]
        aside = (Verdict.REJECT.value, Status.NOTHING_FOUND.value)
        return Trust(
            count=len(values),
            rank_correlation=rank_correlation(qualities, values),
            bad=sum(bad),
            roc_area=roc_area(qualities, bad),
            empty=len(self.empty),
            set_aside=sum(self.verdicts[image_id] in aside for image_id in self.empty),
        )

    def summary(self, arm: str) -> Summary:
        """Mean, median and confidence interval of an arm's Dice."""
        return summarise(list(self.dice(arm).values()))

    def against_gold_only(self, arm: str) -> Comparison:
        """An arm minus gold only, image by image."""
        return compare(self.dice(GOLD_ONLY), self.dice(arm))

    def table(self) -> str:
        """The figures as a text table."""
        return format_table(*self.rows())

    def rows(self) -> tuple[list[str], list[list[object]]]:
        """Header and rows of the table of arms."""
        header = ["arm", "model", "images", "Dice", "95 % interval", "median", "IoU", "against gold only", "p"]
        rows: list[list[object]] = []
        for arm, scores in self.arms.items():
            summary = self.summary(arm)
            interval = f"{summary.low:.3f} to {summary.high:.3f}"
            iou = sum(score.iou for score in scores) / len(scores)
            row: list[object] = [arm, self.models[arm], summary.count, summary.mean, interval, summary.median, iou]
            if arm == GOLD_ONLY:
                rows.append([*row, None, None])
                continue
            comparison = self.against_gold_only(arm)
            rows.append([*row, f"{comparison.difference.mean:+.3f}", comparison.p_value])
        return header, rows

    @property
    def honesty(self) -> str:
        """What of these images was known before, in sentences."""
        if not self.of_gold:
            return "Nothing was learned from these images and nothing was written into the studies."
        return (
            "Each network is measured on images that it never saw, and nothing was written into the studies. The "
            "prompt policy and the quality were fitted on these very images, so what is said of quality is too good."
        )

    def trust_text(self) -> str:
        """What `trust` found, in sentences."""
        trust = self.trust()
        told = []
        if trust.rank_correlation is not None:
            told.append(f"Quality and Dice of the weak labels: rank correlation {trust.rank_correlation:.2f}")
        if trust.roc_area is not None:
            told.append(
                f"{trust.bad} of {trust.count} have a Dice below {BAD_DICE:g}; quality finds them with an area under "
                f"the ROC curve of {trust.roc_area:.2f}"
            )
        if trust.empty:
            means = ", ".join(f"{arm} {mean(self.dice_of_objects(arm).values()):.3f}" for arm in self.arms)
            told.append(
                f"Of {trust.empty} images without an object {trust.set_aside} were rejected or nothing was found in "
                f"them; Dice of the others: {means}"
            )
        return ". ".join(told) + "." if told else ""

    def to_dict(self) -> dict[str, Any]:
        """As plain data for `metrics.json`."""
        arms = {
            arm: {
                "model": self.models[arm],
                **self.summary(arm).to_dict(),
                "against_gold_only": None if arm == GOLD_ONLY else self.against_gold_only(arm).to_dict(),
                "images": [score.to_dict() for score in scores],
            }
            for arm, scores in self.arms.items()
        }
        return {
            "truth": self.held_out,
            "final": self.final,
            "arms": arms,
            "weak_label_quality": dict(self.qualities),
            "weak_label_verdict": dict(self.verdicts),
            "without_object": sorted(self.empty),
            "trust": self.trust().to_dict(),
        }


@dataclass(frozen=True)
class _Arms:
    """The models to measure, and whether images are gold ones that each member but one has seen."""

    coarse: TrainedModel
    labeller: Labeller
    retrained: tuple[ModelVersion, TrainedModel] | None
    out_of_fold: bool

    def map_of(self, model: TrainedModel, study: Study, view: Array) -> Array:
        return model.predict_out_of_fold(study.image_id, view) if self.out_of_fold else model.predict(view)


@dataclass(frozen=True)
class _Scored:
    """What is kept of a case: no pixels, for there may be thousands."""

    image_id: str
    scores: Mapping[str, ImageScore]
    quality: float | None
    verdict: str
    empty: bool

    @classmethod
    def of(cls, case: Case) -> _Scored:
        verdict = case.weak.verdict.value if case.weak.verdict is not None else case.weak.status.value
        return cls(case.study.image_id, case.scores, case.weak.quality, verdict, empty=not case.truth.any())


def evaluate(
    context: Context,
    *,
    images: Path | None = None,
    labels: Path | None = None,
    on_case: Callable[[Case], None] | None = None,
) -> Evaluation:
    """Score every arm on images with known truth; nothing is written into the studies, nothing learned.

    Args:
        context: the studies and their workspace.
        images: a folder of images; those that are in these studies, or of a patient who is, are left out with a note.
            None measures on the gold images, each with the networks that never saw it.
        labels: their truth, named like the images.
        on_case: called with each case, in order of image id.

    Raises:
        StudiesError: when only one of `images` and `labels` is given, or no image has a truth.
        WorkspaceError: when there is no trained model.
    """
    if (images is None) != (labels is None):
        raise StudiesError("--images and --labels go together: give the images and the folder with their truth.")
    gold = read_gold(context)
    coarse = current_coarse(context)
    labeller = Labeller.load(context, labelling_version(context.workspace, coarse))
    known = tuple(item for item in gold if item.study.image_id in labeller.coarse.cv_dice)
    labeller, _ = calibrated(labeller, known)
    arms = _Arms(load_model(coarse), labeller, _retrained(context, coarse), out_of_fold=images is None)
    if images is None or labels is None:
        studies = tuple(item.study for item in known)
        held_out = "gold, by the networks that never saw it"
    else:
        studies = _with_truth(images, labels)
        held_out = str(images)
        studies = _of_others(context, studies, images)
    seen = {} if arms.out_of_fold else _hashes(context)
    context.progress.stage("Evaluating")
    cases: list[_Scored] = []
    for study in each(studies, context.progress):
        case = _case(context, arms, study, seen=seen)
        if case is not None:
            if on_case is not None:
                on_case(case)
            cases.append(_Scored.of(case))
    if not cases:
        raise StudiesError(f"No image of {held_out} could be evaluated: {_reasons(context)}")
    return Evaluation(
        arms={arm: tuple(case.scores[arm] for case in cases) for arm in cases[0].scores},
        models=_names(arms, coarse),
        final=context.workspace.choose(ModelChoice.FINAL).name,
        held_out=held_out,
        qualities={case.image_id: case.quality for case in cases},
        verdicts={case.image_id: case.verdict for case in cases},
        empty=frozenset(case.image_id for case in cases if case.empty),
        of_gold=arms.out_of_fold,
    )


def _case(context: Context, arms: _Arms, study: Study, *, seen: Mapping[str, str]) -> Case | None:
    read = context.read(study)
    if read is None or study.gold is None:
        return None
    image, view = read
    if image.sha256 in seen:
        context.notes.append(f"{study.image_id} is the image {seen[image.sha256]} of the studies and is left out.")
        return None
    try:
        truth = read_label(study.gold, image=image, task=context.task).mask
    except AutoweakError as error:
        context.report_problem(study.image_id, error)
        return None
    values = tuple(context.task.labels.values())
    member = arms.labeller.coarse.member_without(study.image_id) if arms.out_of_fold else None
    made = arms.labeller.generate(view, member=member)
    masks = {GOLD_ONLY: mask_of(arms.map_of(arms.coarse, study, view), context.task), WEAK: made.weak.mask}
    if arms.retrained is not None:
        masks[GOLD_AND_WEAK] = mask_of(arms.map_of(arms.retrained[1], study, view), context.task)
    scores = {arm: score_image(mask, truth, labels=values, image_id=study.image_id) for arm, mask in masks.items()}
    return Case(study, scores, made.weak, view, made.coarse_map, truth)


def _hashes(context: Context) -> dict[str, str]:
    """Hash to id of all images of the studies: of those without gold too, since weak labels are learned from."""
    found = {}
    for study in context.studies.studies:
        with contextlib.suppress(ImageError):  # told where it is read
            found[image_sha256(study.path, study.frame)] = study.image_id
    return found


def _of_others(context: Context, studies: tuple[Study, ...], images: Path) -> tuple[Study, ...]:
    """Images that are not of a patient of the studies, as far as is known."""
    root = context.studies
    inside = Patients.of(root.studies, read_patients(root.root))
    told = told_of_evaluation(root.root, images, inside=[study.image_id for study in root.studies])
    outside = Patients.of(studies, told)
    shared = {study.image_id for study in studies if outside.share(study.image_id, inside)}
    context.notes += [f"{image_id} is of a patient of the studies and is left out." for image_id in sorted(shared)]
    return tuple(study for study in studies if study.image_id not in shared)


def _with_truth(images: Path, labels: Path) -> tuple[Study, ...]:
    truth = {study.image_id: study.path for study in list_images(labels)}
    found = tuple(
        replace(study, gold=truth[study.image_id]) for study in list_images(images) if study.image_id in truth
    )
    if not found:
        raise StudiesError(f"No label in {labels} is named like an image in {images}: name them alike, both a.png.")
    return found


def _retrained(context: Context, coarse: ModelVersion) -> tuple[ModelVersion, TrainedModel] | None:
    """The model retrained on weak labels that began with `coarse`: the final one, else the best on held-out gold."""
    workspace = context.workspace
    in_use = labelling_version(workspace, coarse)
    if in_use.kind is ModelKind.RETRAINED:
        return in_use, load_model(in_use)
    versions = workspace.versions(ModelKind.RETRAINED)
    best = best_of(workspace, [one for one in versions if workspace.record(one).get("root") == coarse.name])
    return None if best is None else (best, load_model(best))


def _names(arms: _Arms, coarse: ModelVersion) -> dict[str, str]:
    names = {GOLD_ONLY: coarse.name, WEAK: f"{arms.labeller.version.name} + {arms.labeller.promptable.name}"}
    if arms.retrained is not None:
        names[GOLD_AND_WEAK] = arms.retrained[0].name
    return names


def _reasons(context: Context) -> str:
    return "; ".join(
        [problem.reason for problem in context.problems[:3]]
        or ["they are all in these studies, or of patients who are"]
    )
