"""Gold labels: read with their images, as samples to train on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from autoweak.errors import AutoweakError, StudiesError
from autoweak.loop.context import Context
from autoweak.progress import each
from autoweak.studies import Study, StudyImage, read_label

if TYPE_CHECKING:
    from autoweak.training import Sample

# Two folds of two images: with less, nothing can be held out to judge a model on.
MINIMUM_GOLD = 4


@dataclass(frozen=True)
class Gold:
    """One gold label with its image: 8-bit view (S, H, W, C), mask (S, H, W)."""

    study: Study
    image: StudyImage
    view: npt.NDArray[Any]
    mask: npt.NDArray[Any]
    label_sha256: str

    def sample(self) -> Sample:
        """As a training sample of full weight."""
        from autoweak.training import Sample

        return Sample(image_id=self.study.image_id, view=self.view, mask=self.mask)


def read_gold(context: Context, *, least: int = MINIMUM_GOLD) -> tuple[Gold, ...]:
    """All gold labels of the studies, in order of image id; unreadable ones become problems.

    Raises:
        StudiesError: when fewer than `least` can be read.
    """
    context.progress.stage("Reading gold labels")
    found = [_read(context, study) for study in each(context.studies.gold, context.progress)]
    gold = tuple(item for item in found if item is not None)
    if len(gold) < least:
        raise StudiesError(
            f"{context.studies.root} has {len(gold)} readable gold labels in labels/final and at least {least} "
            "are needed (25 are better): add labels named like their images."
            + "".join(f" Not readable: {problem.image_id} ({problem.reason})" for problem in context.problems[:3])
        )
    return gold


def gold_hashes(gold: tuple[Gold, ...]) -> dict[str, list[str]]:
    """Image id to the hashes of image and label: what a model's fingerprint is made of."""
    return {item.study.image_id: [item.image.sha256, item.label_sha256] for item in gold}


def _read(context: Context, study: Study) -> Gold | None:
    read = context.read(study)
    if read is None or study.gold is None:
        return None
    image, view = read
    if context.synthetic.holds(image):
        from autoweak.synthesis.studies import LABELLED_BY_A_PERSON

        context.notes.append(f"{study.image_id}: {LABELLED_BY_A_PERSON}")
        return None
    try:
        label = read_label(study.gold, image=image, task=context.task)
    except AutoweakError as error:
        context.report_problem(study.image_id, error)
        return None
    context.notes.extend(f"{study.image_id}: {note}" for note in label.notes)
    return Gold(study, image, view, label.mask, hashlib.sha256(study.gold.read_bytes()).hexdigest())
