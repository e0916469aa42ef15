"""The images of an experiment: which are gold, which unlabelled, which are evaluated on, and that they never meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoweak.errors import AutoweakError, ExperimentError
from autoweak.hashing import file_sha256
from autoweak.loop.context import Context
from autoweak.progress import each
from autoweak.studies import StudiesFolder, Study, StudyImage, list_images, read_label
from autoweak.studies.patients import Patients, read_patients, told_of_evaluation
from autoweak.synthesis.marks import Mark
from autoweak.training.seeds import derive_seed

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Known:
    """One readable image.

    Attributes:
        study: the image; its `gold` is the truth where that is known, whoever may see it.
        sha256: of the image; `truth_sha256`: of the file with its truth, empty where that is not known.
        mark: where a synthetic image comes from; None for images of patients.
    """

    study: Study
    sha256: str
    truth_sha256: str = ""
    mark: Mark | None = None

    @property
    def image_id(self) -> str:
        """Of the image."""
        return self.study.image_id


@dataclass(frozen=True)
class Truth:
    """An image with its truth: 8-bit view (S, H, W, C) and mask (S, H, W)."""

    image: StudyImage
    view: Array
    mask: Array


@dataclass(frozen=True)
class Draw:
    """What one cell may use: `gold` with labels, `pool` and `synthetic` images without; all in order of image id."""

    gold: tuple[Known, ...]
    pool: tuple[Known, ...]
    synthetic: tuple[Known, ...] = ()


@dataclass(frozen=True)
class Material:
    """All images of an experiment.

    Attributes:
        gold: images of the studies with a gold label.
        unlabelled: the other ones; the truth of some may be known, see `spec.Data.truth`.
        evaluation: images with truth that are never learned from.
        patients: image id to patient, of the studies where that is known.
        synthetic: marked images that lie beside the studies, where an arm asks for some.
    """

    gold: tuple[Known, ...]
    unlabelled: tuple[Known, ...]
    evaluation: tuple[Known, ...]
    patients: Mapping[str, str] = field(default_factory=dict)
    synthetic: tuple[Known, ...] = ()

    def draw(self, *, gold: int, weak: int, seed: int, truth: bool, synthetic: int = 0) -> Draw:
        """Draw gold, unlabelled and synthetic images; with the same seed, fewer are a part of more.

        No unlabelled image is of a patient with a gold label, or a copy of a gold image: the Dice of weak labels
        would be measured on patients who were learned from.

        Args:
            gold: how many gold labels.
            weak: how many images without one: unlabelled ones, and gold ones whose label is then held back.
            seed: of the draw.
            truth: take only images whose truth is known into the pool.
            synthetic: how many synthetic images.

        Raises:
            ExperimentError: there are not as many.
        """
        if gold > len(self.gold):
            raise ExperimentError(f"The experiment asks for {gold} gold labels and the studies have {len(self.gold)}.")
        chosen = _shuffled(self.gold, derive_seed(seed, "gold"))[:gold]
        taken = {key for one in chosen for key in (self._patient(one), one.sha256)}
        others = (*self.gold, *self.unlabelled)
        free = [one for one in others if self._patient(one) not in taken and one.sha256 not in taken]
        pool = _shuffled([one for one in free if one.truth_sha256 or not truth], derive_seed(seed, "pool"))
        if weak > len(pool):
            what = "unlabelled images whose truth is known, which some of its arms need" if truth else "other images"
            what += " of other patients" if self.patients else ""
            hint = "lower weak or gold" + (", or give the folder with their truth (--truth)" if truth else "")
            raise ExperimentError(
                f"The experiment asks for {weak} weak labels beside {gold} gold ones, and there are {len(pool)} "
                f"{what}: {hint}."
            )
        if synthetic > len(self.synthetic):
            raise ExperimentError(
                f"An arm asks for {synthetic} synthetic images, and {len(self.synthetic)} that carry the mark of "
                f"`autoweak synthesise` lie beside the studies: draw more with it, or lower synthetic."
            )
        drawn = _shuffled(self.synthetic, derive_seed(seed, "synthetic"))[:synthetic]
        return Draw(_ordered(chosen), _ordered(pool[:weak]), _ordered(drawn))

    def _patient(self, known: Known) -> str:
        """The patient of an image; one of whom nothing is known is a patient of its own."""
        return self.patients.get(known.image_id, f"image {known.image_id}")


def collect(context: Context, *, truth: Path | None, images: Path, labels: Path) -> Material:
    """Read all images once, and keep the evaluation apart from what is learned from.

    An evaluation image that is also in the studies, or of a patient who is, is left out with a note. Unreadable images
    become problems.

    Raises:
        ExperimentError: no evaluation image is left.
        StudiesError: a folder cannot be listed.
    """
    context.progress.stage("Reading images")
    named = _by_name(truth) if truth is not None else {}
    studies = [replace(one, gold=one.gold or named.get(one.image_id)) for one in context.studies.studies]
    gold_ids = {one.image_id for one in context.studies.gold}
    truths = _by_name(labels)
    outside = [replace(one, gold=truths[one.image_id]) for one in list_images(images) if one.image_id in truths]
    found = [_known(context, one) for one in each([*studies, *outside], context.progress)]
    inside = [one for one in found[: len(studies)] if one is not None]
    patients = Patients.of([one.study for one in inside], read_patients(context.studies.root))
    told = told_of_evaluation(context.studies.root, images, inside=[one.image_id for one in inside])
    evaluation = [one for one in found[len(studies) :] if one is not None]
    evaluation = _apart(context, evaluation, inside, Patients.of([one.study for one in evaluation], told), patients)
    if not evaluation:
        raise ExperimentError(
            f"No image of {images} can be evaluated on: each needs a readable label of its name in {labels}, and must "
            "neither be in the studies nor of a patient who is."
        )
    return Material(
        gold=tuple(one for one in inside if one.image_id in gold_ids),
        unlabelled=tuple(one for one in inside if one.image_id not in gold_ids),
        evaluation=tuple(evaluation),
        patients=patients.groups(),
    )


def read_truth(context: Context, known: Known) -> Truth | None:
    """An image with its truth, or None with the problem recorded."""
    read = context.read(known.study)
    if read is None or known.study.gold is None:
        return None
    try:
        label = read_label(known.study.gold, image=read[0], task=context.task)
    except AutoweakError as error:
        context.report_problem(known.image_id, error)
        return None
    return Truth(*read, label.mask)


def subset(studies: StudiesFolder, draw: Draw) -> StudiesFolder:
    """The studies as a cell sees them: its gold labelled, its pool unlabelled, nothing else there."""
    hidden = [replace(one.study, gold=None, weak=None, sidecar=None) for one in draw.pool]
    shown = [replace(one.study, weak=None, sidecar=None) for one in draw.gold]
    return StudiesFolder(studies.root, tuple(sorted([*hidden, *shown], key=lambda study: study.image_id)))


def _known(context: Context, study: Study) -> Known | None:
    read = context.read(study)
    if read is None:
        return None
    if context.synthetic.holds(read[0]):
        context.notes.append(f"{study.image_id} is synthetic and takes no part in experiments.")
        return None
    if study.gold is None:
        return Known(study, read[0].sha256)
    try:
        read_label(study.gold, image=read[0], task=context.task)
    except AutoweakError as error:
        context.report_problem(study.image_id, error)
        return None
    return Known(study, read[0].sha256, file_sha256(study.gold))


def _apart(
    context: Context, evaluation: Sequence[Known], inside: Sequence[Known], outer: Patients, inner: Patients
) -> list[Known]:
    """The evaluation images that are neither in the studies nor of their patients."""
    seen = {one.sha256: one.image_id for one in inside}
    kept = []
    for one in evaluation:
        if one.sha256 in seen:
            context.notes.append(f"{one.image_id} is {seen[one.sha256]} of the studies and is not evaluated on.")
        elif outer.share(one.image_id, inner):
            context.notes.append(f"{one.image_id} is of a patient of the studies and is not evaluated on.")
        else:
            kept.append(one)
    return kept


def _by_name(folder: Path) -> Mapping[str, Path]:
    return {study.image_id: study.path for study in list_images(folder)}


def _shuffled(known: Sequence[Known], seed: int) -> list[Known]:
    ordered = _ordered(known)
    return [ordered[index] for index in np.random.default_rng(seed).permutation(len(ordered))]


def _ordered(known: Sequence[Known]) -> tuple[Known, ...]:
    return tuple(sorted(known, key=lambda one: one.image_id))
