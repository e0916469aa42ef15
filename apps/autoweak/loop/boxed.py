"""What learned prompts are trained on: images with tight boxes, from gold labels and from `boxes.csv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autoweak.errors import StudiesError
from autoweak.loop.context import Context
from autoweak.loop.gold import Gold, read_gold
from autoweak.progress import each
from autoweak.studies.boxes import BOXES_FILE, GivenBox, PixelBox, check_inside, read_boxes
from autoweak.tasks import Mirror

if TYPE_CHECKING:
    from autoweak.promptable import EmbeddingCache, Promptable
    from autoweak.tasks import Task
    from autoweak.training.prompt_learner import BoxSample
    from autoweak.training.prompt_recipe import PromptRecipe

# Of a volume: enough for few-shot learning, and embeddings of as many slices fit into memory.
_SHOWN, _EMPTY = 16, 4
MINIMUM_IMAGES = 4

# For each label in order of value: none where it is known not to be there, None where nothing is known.
SliceBoxes = tuple[tuple[PixelBox, ...] | None, ...]


@dataclass(frozen=True)
class Boxed:
    """An image with tight boxes; of a gold label nothing else is kept to train on.

    Attributes:
        image_id: of the image; `sha256`: of its file.
        view: (S, H, W, C) uint8.
        slices: slice, from 0, to the boxes of each label in it.
        gold: the gold label, to measure on; None where a person gave boxes alone.
    """

    image_id: str
    sha256: str
    view: npt.NDArray[Any]
    slices: Mapping[int, SliceBoxes]
    gold: Gold | None = None

    def plain(self) -> dict[str, Any]:
        """As plain data: a part of fingerprints."""
        boxes = {
            str(number): [None if found is None else [vars(box) for box in found] for found in labels]
            for number, labels in sorted(self.slices.items())
        }
        return {"image": self.sha256, "boxes": boxes}


def read_boxed(context: Context, *, given_boxes: bool = True) -> tuple[Boxed, ...]:
    """All images with a gold label or with boxes in `boxes.csv`, in order of image id.

    The boxes of a gold label are those of its whole class in a slice, or of its connected components where the task
    allows more than one. A row of `boxes.csv` for a gold image takes the place of that label's boxes in that slice.

    Args:
        context: studies and task.
        given_boxes: whether `boxes.csv` is read; else gold labels alone count.

    Raises:
        StudiesError: fewer than four, or `boxes.csv` does not fit the studies.
    """
    studies = context.studies
    ids = {study.image_id for study in studies.studies}
    given = read_boxes(studies.root, labels=context.task.labels, images=ids) if given_boxes else {}
    found = [_of_gold(item, given.get(item.study.image_id, ()), context.task) for item in read_gold(context, least=0)]
    context.progress.stage("Reading images with boxes")
    for study in each([study for study in studies.unlabelled if study.image_id in given], context.progress):
        read = context.read(study)
        if read is not None:
            found.append(_of_rows(study.image_id, read[0].sha256, read[1], given[study.image_id], context.task))
    if len(found) < MINIMUM_IMAGES:
        raise StudiesError(
            f"{studies.root} has {len(found)} images with a readable gold label or with boxes in {BOXES_FILE}, and "
            f"learning prompts needs at least {MINIMUM_IMAGES} (10 to 25 are better): label or box more images."
            + "".join(f" Not readable: {problem.image_id} ({problem.reason})" for problem in context.problems[:3])
        )
    return tuple(sorted(found, key=lambda item: item.image_id))


def samples_of(
    item: Boxed, *, model: Promptable, cache: EmbeddingCache, recipe: PromptRecipe, mirror: Sequence[Mirror] = ()
) -> tuple[BoxSample, ...]:
    """The slices of an image as training samples, encoded now or found in the cache, with their mirror images."""

    def one(number: int, labels: SliceBoxes, way: Mirror | None) -> BoxSample:
        return _sample(item, number, labels, way, model=model, cache=cache, side=recipe.terms.side)

    return tuple(
        replace(one(number, labels, None), mirrored=tuple(one(number, labels, way) for way in mirror))
        for number, labels in sorted(item.slices.items())
    )


def _sample(
    item: Boxed,
    number: int,
    labels: SliceBoxes,
    way: Mirror | None,
    *,
    model: Promptable,
    cache: EmbeddingCache,
    side: int,
) -> BoxSample:
    import torch

    from autoweak.training.prompt_learner import BoxSample
    from autoweak.training.tight_boxes import mirror_boxes, to_grid

    pixels = item.view[number]
    if way is not None:
        pixels = np.ascontiguousarray(np.flip(pixels, axis=1 if way is Mirror.HORIZONTAL else 0))
    embedding = cache.get(model, pixels)
    size = embedding.image_size
    seen = (
        found if found is None or way is None else mirror_boxes(found, image_size=size, way=way) for found in labels
    )
    boxes = tuple(
        None if found is None else to_grid(found, image_size=size, contract=model.contract, side=side) for found in seen
    )
    return BoxSample(item.image_id, embedding.key, embedding.features.to(torch.float16), boxes)


def boxes_of_labels(mask: npt.NDArray[Any], task: Task) -> SliceBoxes:
    """The tight boxes of a gold slice (H, W), for each label in order of value."""
    from autoweak.training.tight_boxes import boxes_of_mask

    return tuple(boxes_of_mask(mask == value, components=task.components > 1) for value in task.labels.values())


def _of_gold(item: Gold, given: Sequence[GivenBox], task: Task) -> Boxed:
    image_id = item.study.image_id
    check_inside(tuple(given), image_id=image_id, shape=item.mask.shape)
    slices = {number: boxes_of_labels(item.mask[number], task) for number in chosen_slices(item.mask)}
    for number, labels in _by_slice(given, task).items():
        derived = boxes_of_labels(item.mask[number], task)
        slices[number] = tuple(before if now is None else now for before, now in zip(derived, labels, strict=True))
    return Boxed(image_id, item.image.sha256, item.view, slices, item)


def _of_rows(image_id: str, sha256: str, view: npt.NDArray[Any], given: Sequence[GivenBox], task: Task) -> Boxed:
    check_inside(tuple(given), image_id=image_id, shape=view.shape[:3])
    return Boxed(image_id, sha256, view, _by_slice(given, task))


def _by_slice(given: Sequence[GivenBox], task: Task) -> dict[int, SliceBoxes]:
    """The given boxes of each slice; of labels without one nothing is known there."""
    return {
        number: tuple(
            tuple(row.box for row in given if row.slice == number and row.label == value) or None
            for value in task.labels.values()
        )
        for number in {row.slice for row in given}
    }


def chosen_slices(mask: npt.NDArray[Any]) -> list[int]:
    """The slices of a mask (S, H, W) to train on: all of few, else some that show a label and some that do not."""
    shows = mask.any(axis=(1, 2))
    return sorted([*_spread(np.flatnonzero(shows), _SHOWN), *_spread(np.flatnonzero(~shows), _EMPTY)])


def _spread(numbers: npt.NDArray[Any], most: int) -> list[int]:
    """At most so many of them, evenly apart."""
    if len(numbers) <= most:
        return [int(number) for number in numbers]
    return [int(numbers[round(place)]) for place in np.linspace(0, len(numbers) - 1, most)]
