"""The infer tasks that both viewers show: weak labels, the coarse model, and the interactive one."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from autoweak.server.clicks import read_clicks
from autoweak.server.datastore import FolderDatastore, summary
from autoweak.server.errors import BadRequestError
from autoweak.server.interact import segment
from autoweak.server.live import Live
from autoweak.server.results import result_file, wanted_suffix, wants_compression
from autoweak.studies import Study, StudyImage, read_label
from autoweak.tasks import Task

Mask = npt.NDArray[np.uint8]
Made = tuple[Mask, dict[str, Any]]
# Ticked in a viewer's options, the mask of the next request is saved as a person's label: OHIF has no other way to.
SAVE_AS_GOLD = "save_as_gold"


class LiveInfer(InferTask):
    """A task of the live loop: a study in, a mask file and what is known of it out.

    Args:
        live: the loop.
        datastore: the studies.
        folder: gives the folder for files that are deleted once they are sent.
    """

    kind: InferType
    summary: str

    def __init__(self, live: Live, datastore: FolderDatastore, folder: Callable[[], Path]) -> None:
        super().__init__(
            type=self.kind,
            labels=dict(live.task.labels),
            # Also of pictures: 3D Slicer clears a slice of a 2D task pixel by pixel, which takes seconds.
            dimension=3,
            description=self.summary,
            config=self.options(),
        )
        self.live = live
        self.datastore = datastore
        self._folder = folder

    def options(self) -> dict[str, Any]:
        """What a viewer offers to change."""
        return {SAVE_AS_GOLD: False}

    def is_valid(self) -> bool:
        """Whether the task can do its work now; `/info` lists only those."""
        return self.live.labelling_version() is not None

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer a request of the app, which has put the study under "study"."""
        started = time.perf_counter()
        study: Study = request["study"]
        image, view = self.live.image(study)
        suffix = wanted_suffix(request, image)
        mask, known = self.make(request, study, image, view)
        self.datastore.used(study.image_id)
        if is_true(request.get(SAVE_AS_GOLD)):
            known["saved"] = self._save(study, image, mask)
        path = result_file(mask, image=image, suffix=suffix, folder=self._folder(), compress=wants_compression(request))
        present = set(np.unique(mask).tolist())
        return str(path), {
            # Slicer names segments by place, so labels that the mask lacks must not be in this list.
            "label_names": {name: value for name, value in self.live.task.labels.items() if value in present},
            "latencies": {"total": round(time.perf_counter() - started, 3)},
            **known,
        }

    @abstractmethod
    def make(self, request: Mapping[str, Any], study: Study, image: StudyImage, view: npt.NDArray[Any]) -> Made:
        """The mask (S, H, W) of an image with its view (S, H, W, C), and what is known of it."""

    def _save(self, study: Study, image: StudyImage, mask: Mask) -> str:
        if study.image_id not in self.datastore.list_images():
            raise BadRequestError("The image is not one of the studies, so its label cannot be saved with them.")
        self.datastore.save_gold(study, image, mask)
        return "final"


class MedsamFromCoarse(LiveInfer):
    """The weak label of an image: the one that is there if it is fresh, else made now and kept."""

    kind = InferType.SEGMENTATION
    summary = "Weak label: the coarse model prompts the promptable model"

    def make(self, request: Mapping[str, Any], study: Study, image: StudyImage, view: npt.NDArray[Any]) -> Made:
        """See `LiveInfer`."""
        if study.image_id not in self.datastore.list_images():
            return self._elsewhere(view)
        if study.gold is not None:
            # A person's label wins: it is shown again, to be looked at or corrected.
            return stored_mask(study.gold, image, self.live.task), {"status": "gold"}
        sidecar = self.live.weak_label(study, self.datastore.studies())
        self.datastore.refresh()
        known = {} if sidecar is None else summary(sidecar)
        return stored_mask(self.datastore.study(study.image_id).weak, image, self.live.task), known

    def _elsewhere(self, view: npt.NDArray[Any]) -> Made:
        """Of an image that is not in the studies: made, and not kept."""
        labeller = self.live.labeller(self.datastore.studies())
        weak = labeller.generate(view).weak
        verdict = None if weak.verdict is None else weak.verdict.value
        return weak.mask, {"quality": weak.quality, "verdict": verdict, "status": weak.status.value, "note": weak.note}


class CoarseInfer(LiveInfer):
    """The mask of the best model trained so far, without the promptable model."""

    kind = InferType.SEGMENTATION
    summary = "The model trained so far, alone"

    def make(self, request: Mapping[str, Any], study: Study, image: StudyImage, view: npt.NDArray[Any]) -> Made:
        """See `LiveInfer`."""
        from autoweak.loop.masks import mask_of

        version, model = self.live.best_model()
        return mask_of(model.predict(view), self.live.task), {"version": version.name}


class Medsam(LiveInfer):
    """Points and boxes to a mask, beginning with the label that is there."""

    kind = InferType.DEEPGROW
    summary = "Interactive: points, and a ROI in 3D Slicer, for any label"

    def options(self) -> dict[str, Any]:
        """See `LiveInfer`; `refine` begins with the label that is there."""
        return {"refine": True, SAVE_AS_GOLD: False}

    def is_valid(self) -> bool:
        """It needs no training."""
        return True

    def make(self, request: Mapping[str, Any], study: Study, image: StudyImage, view: npt.NDArray[Any]) -> Made:
        """See `LiveInfer`."""
        task = self.live.task
        clicks = read_clicks(request, image=image, task=task)
        base = self._base(request, study, image) if is_true(request.get("refine", True)) else None
        # Of several labels, a client that names none means one that cannot be told from here: there is no base then.
        if len(task.labels) > 1 and not clicks.named and len(clicks.of_label) <= 1:
            base = None
        values = set(clicks.of_label) if clicks.of_label else set(task.labels.values())
        named = request.get("label")
        if named in task.labels:
            values = values | {task.labels[named]} if clicks.of_label else {task.labels[named]}
        model, cache = self.live.promptable()
        mask = segment(view, clicks, base=base, model=model, cache=cache, labels=tuple(sorted(values)))
        return mask, {"promptable": model.name, "refined": base is not None}

    def _base(self, request: Mapping[str, Any], study: Study, image: StudyImage) -> Mask | None:
        """What the viewer shows: the label it sends along, else the person's, else the weak one."""
        sent = request.get("label_file")
        path = Path(sent) if sent else study.gold or study.weak
        return None if path is None else stored_mask(path, image, self.live.task)


def stored_mask(path: Path | None, image: StudyImage, task: Task) -> Mask:
    """The label at `path` in the frame of its image, (S, H, W); all 0 where there is none."""
    if path is None:
        return np.zeros(image.pixels.shape[:3], dtype=np.uint8)
    return read_label(path, image=image, task=task).mask


def is_true(value: object) -> bool:
    """Whether a client means yes; viewers send booleans, command lines text."""
    return value is True or (isinstance(value, str) and value.lower() in {"true", "1", "yes", "on"})
