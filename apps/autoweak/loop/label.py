"""Making weak labels for every image without a gold label, and keeping them with their sidecars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from autoweak.atomic import remove_partials, write_with
from autoweak.dice import dice
from autoweak.errors import AutoweakError, LabelError
from autoweak.loop.choosing import choose_policy, policy_in_use
from autoweak.loop.coarse import gold_patients, load_model
from autoweak.loop.context import Context
from autoweak.loop.gold import Gold
from autoweak.loop.kept_quality import keep_quality
from autoweak.progress import each
from autoweak.studies import Study, StudyImage, mask_suffix, write_mask
from autoweak.studies.folder import WEAK_FOLDER
from autoweak.weak_labels import (
    CoarseRecord,
    ImageRecord,
    Inputs,
    PromptableRecord,
    QualityModel,
    Sidecar,
    TaskRecord,
    WeakLabel,
    calibrate,
    generate,
    is_current,
    read_sidecar,
    save_weak_label,
    was_edited,
)
from autoweak.weak_labels.choose import Choice
from autoweak.workspace import ModelVersion

if TYPE_CHECKING:
    from autoweak.promptable import EmbeddingCache, Promptable
    from autoweak.prompts import PromptPolicy
    from autoweak.training import TrainedModel


@dataclass(frozen=True)
class Calibration:
    """The quality model, and what it was fitted on: weak labels of gold images.

    Attributes:
        quality: the model.
        expected: quality of each class of each gold image that got a mask, 0 to 1.
        measured: its Dice, 0 to 1.
        dice: gold image id to the mean Dice over the labels, images in which nothing was found included.
        choice: how the policy was chosen; None where it was given.
    """

    quality: QualityModel
    expected: tuple[float, ...]
    measured: tuple[float, ...]
    dice: Mapping[str, float]
    choice: Choice | None = None


@dataclass(frozen=True)
class Made:
    """A weak label, and the coarse map (S, K, H, W) that it was made of."""

    weak: WeakLabel
    coarse_map: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Labeller:
    """A coarse model, a promptable model and a policy, ready to make weak labels."""

    context: Context
    version: ModelVersion
    coarse: TrainedModel
    promptable: Promptable
    cache: EmbeddingCache
    policy: PromptPolicy
    quality: QualityModel = field(default_factory=QualityModel)

    @classmethod
    def load(cls, context: Context, version: ModelVersion) -> Labeller:
        """Load both models of a context, with the policy that was chosen for them, if one was."""
        promptable, cache = context.load_promptable()
        return cls.of(context, version, load_model(version), promptable, cache)

    @classmethod
    def of(
        cls,
        context: Context,
        version: ModelVersion,
        coarse: TrainedModel,
        promptable: Promptable,
        cache: EmbeddingCache,
    ) -> Labeller:
        """As `load`, with models that are loaded already."""
        policy = policy_in_use(context, coarse=coarse, promptable=promptable)
        return cls(context, version, coarse, promptable, cache, policy)

    def generate(self, view: npt.NDArray[Any], *, member: int | None = None) -> Made:
        """The weak label of an 8-bit view (S, H, W, C).

        Args:
            view: of the image.
            member: the coarse map is that of this member alone; None takes all members.
        """
        coarse_map = self.coarse.predict(view) if member is None else self.coarse.predict_member(member, view)
        weak = generate(
            view,
            coarse_map,
            model=self.promptable,
            cache=self.cache,
            policy=self.policy,
            labels=tuple(self.context.task.labels.values()),
            seed=self.context.seed,
            symmetry=self.coarse.symmetry(view, coarse_map, member=member),
            quality_model=self.quality,
        )
        return Made(weak, coarse_map)

    def inputs_of(self, image: StudyImage) -> Inputs:
        """All that the weak label of `image` is made of."""
        task = self.context.task
        slices, height, width, channels = image.pixels.shape
        return Inputs(
            image=ImageRecord(
                id=image.image_id,
                sha256=image.sha256,
                size=(slices, height, width, channels),
                synthetic=self.context.synthetic.holds(image),
            ),
            task=TaskRecord(name=task.name, sha256=task.sha256),
            coarse=CoarseRecord(version=self.version.name, sha256=self.coarse.sha256),
            promptable=PromptableRecord(
                name=self.promptable.name,
                sha256=self.promptable.sha256,
                contract=self.promptable.contract.name,
                precision=self.promptable.precision.value,
            ),
            policy=self.policy,
            seed=self.context.seed,
            quality_model=self.quality,
        )

    def settings(self) -> dict[str, Any]:
        """What all weak labels have in common, as plain data: a part of fingerprints."""
        return {
            "task": self.context.task.sha256,
            "coarse": self.coarse.sha256,
            "promptable": self.promptable.identity(),
            "policy": self.policy.to_dict(),
            "seed": self.context.seed,
            "quality": self.quality.to_dict(),
        }


@dataclass(frozen=True)
class Labelled:
    """What `label` did.

    Attributes:
        sidecars: of the images of patients, in order of image id.
        kept: how many weak labels were there already.
        synthetic: sidecars of the synthetic images, in order of image id.
    """

    sidecars: tuple[Sidecar, ...]
    kept: int
    synthetic: tuple[Sidecar, ...] = ()


def calibrated(labeller: Labeller, gold: tuple[Gold, ...]) -> tuple[Labeller, Calibration]:
    """Choose the policy, if it is to be chosen, and fit the quality: on gold images and members that never saw them."""
    context = labeller.context
    choice = None
    if context.chooses:
        choice = choose_policy(
            context, gold, coarse=labeller.coarse, promptable=labeller.promptable, cache=labeller.cache
        )
        labeller = replace(labeller, policy=choice.policy)
    context.progress.stage("Calibrating quality on gold")
    pairs = []
    for item in each(gold, context.progress):
        made = labeller.generate(item.view, member=labeller.coarse.member_without(item.study.image_id))
        pairs.append((made.weak, item.mask))
    quality = calibrate(pairs, patients=gold_patients(context, gold))
    scored = [
        (quality.predict(one.scores), dice(weak.mask == one.label, mask == one.label))
        for weak, mask in pairs
        for one in weak.scores
        if one.scores is not None
    ]
    values = tuple(context.task.labels.values())
    calibration = Calibration(
        quality,
        expected=tuple(pair[0] for pair in scored),
        measured=tuple(pair[1] for pair in scored),
        dice={
            item.study.image_id: float(np.mean([dice(weak.mask == value, mask == value) for value in values]))
            for item, (weak, mask) in zip(gold, pairs, strict=True)
        },
        choice=choice,
    )
    return replace(labeller, quality=quality), calibration


def label(labeller: Labeller) -> Labelled:
    """Make or keep the weak label of every image without a gold label, synthetic ones included.

    What a person changed in labels/original is left as it is, with a note. Unreadable images become problems.
    """
    context = labeller.context
    context.remember_task()
    for root in (context.studies.root, context.synthetic.root):
        if (root / WEAK_FOLDER).is_dir():
            # Not what a server is just writing.
            with _writing(context):
                remove_partials(root / WEAK_FOLDER)
    keep_quality(labeller)
    sidecars: dict[bool, list[Sidecar]] = {False: [], True: []}
    kept = 0
    context.progress.stage("Weak labels")
    for study in each(context.unlabelled, context.progress):
        try:
            made = label_one(labeller, study)
        except AutoweakError as error:
            context.report_problem(study.image_id, error)
            continue
        if made is not None:
            sidecars[study.synthetic].append(made[0])
            kept += made[1]
    return Labelled(tuple(sidecars[False]), kept, synthetic=tuple(sidecars[True]))


def label_one(labeller: Labeller, study: Study) -> tuple[Sidecar, bool] | None:
    """Make or keep the weak label of one image.

    Returns:
        its sidecar, and whether it was there already; None where the image cannot be read (a problem of the context)
        or where a person's work is in the place of the weak label (a note of the context).

    Raises:
        AutoweakError: the label cannot be made.
    """
    # Of two writers of one label, as a server and a command are, one's mask could stay with the other's sidecar.
    with _writing(labeller.context):
        context = labeller.context
        root = context.synthetic.root if study.synthetic else context.studies.root
        return _label_one(labeller, study, root / WEAK_FOLDER)


def _writing(context: Context) -> FileLock:
    return FileLock(context.workspace.root / "labels.lock")


def _label_one(labeller: Labeller, study: Study, folder: Path) -> tuple[Sidecar, bool] | None:
    read = labeller.context.read(study)
    if read is None:
        return None
    image, view = read
    mask_path = folder / f"{study.image_id}{mask_suffix(image)}"
    previous = _previous(folder / f"{study.image_id}.json")
    if _is_persons(study, previous, mask_path):
        labeller.context.notes.append(
            f"{study.image_id}: its label in {WEAK_FOLDER} was changed or put there by someone and is kept as it is; "
            "save it in labels/final to count it as gold."
        )
        return None
    inputs = labeller.inputs_of(image)
    if previous is not None and is_current(previous, inputs=inputs, mask_path=mask_path):
        return previous, True
    made = labeller.generate(view)
    _keep_map(labeller, study.image_id, made.coarse_map)
    weak = made.weak
    sidecar = save_weak_label(
        weak,
        inputs=inputs,
        mask_path=mask_path,
        write_mask=lambda path: write_mask(path, weak.mask, image=image),
    )
    return sidecar, False


def _previous(path: Path) -> Sidecar | None:
    # As it is now: `study` may have been listed before its weak label was made, which would pass for a person's.
    if not path.is_file():
        return None
    try:
        return read_sidecar(path)
    except LabelError:
        # Damaged, or of another format: the mask then counts as somebody's.
        return None


def _is_persons(study: Study, previous: Sidecar | None, mask_path: Path) -> bool:
    candidates = {mask_path, study.weak} if study.weak is not None else {mask_path}
    return any(was_edited(previous, path) for path in candidates)


def _keep_map(labeller: Labeller, image_id: str, coarse_map: npt.NDArray[Any]) -> None:
    """Keep the probability map, (S, K, H, W), in steps of 1/255 as the S1 paper's code does."""
    path = labeller.context.workspace.coarse_map(labeller.version, image_id)
    quantised = np.round(coarse_map * 255).astype(np.uint8)

    def write(partial: Path) -> None:
        with partial.open("wb") as stream:
            np.savez_compressed(stream, probability=quantised)

    write_with(path, write)
