"""Learned prompts in the server: the trainer `prompt_learner` and the model `medsam_learned`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from monailabel.interfaces.tasks.infer_v2 import InferType

from autoweak.errors import StudiesError
from autoweak.server.errors import BadRequestError, NotReadyError
from autoweak.server.infers import LiveInfer, Made
from autoweak.server.live import Live
from autoweak.server.trainer import LoopTrainer, StatsProgress
from autoweak.studies import Study, StudyImage
from autoweak.training.prompt_recipe import PROMPT_RECIPE
from autoweak.workspace import ModelKind, ModelVersion

if TYPE_CHECKING:
    from autoweak.loop.learned import LearnedPredictor

TRAINER, MODEL = "prompt_learner", "medsam_learned"
STATS_FILE = "prompt_learner.json"
# MONAI Label cannot take a training out of its queue: while this file is not there, one that begins ends at once.
ASKED_FILE = "prompt_learner.asked"
_MOST_EPOCHS = 10000
# What a viewer's bar is divided into.
_PARTS = {
    "Fetching images": 0,
    "Reading gold labels": 2,
    "Reading images with boxes": 1,
    "Encoding images": 10,
    "Learning prompts": 87,
}


def current(live: Live) -> ModelVersion | None:
    """The learned prompts that were trained, or found to fit, last, if any."""
    return live.workspace.current(ModelKind.LEARNED)


class LearnedInfer(LiveInfer):
    """The mask that learned prompts give: no coarse model, no clicks, the cached embedding."""

    kind = InferType.SEGMENTATION
    summary = "Learned prompts: the promptable model alone, without clicks"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lock = threading.Lock()
        self._loaded: tuple[str, LearnedPredictor] | None = None

    def is_valid(self) -> bool:
        """Whether prompts are learned."""
        return current(self.live) is not None

    def make(self, request: Mapping[str, Any], study: Study, image: StudyImage, view: npt.NDArray[Any]) -> Made:
        """See `LiveInfer`."""
        from autoweak.loop.masks import mask_of

        version, predictor = self._predictor()
        known = {"version": version.name, "promptable": predictor.model.name}
        return mask_of(predictor.predict(view), self.live.task), known

    def _predictor(self) -> tuple[ModelVersion, LearnedPredictor]:
        """The current learned prompts with the promptable model that is served.

        Raises:
            NotReadyError: none are trained yet.
            CheckpointError: they were learned for another promptable model.
        """
        from autoweak.loop.learned import LearnedPredictor
        from autoweak.training.learned_model import LearnedModel

        version = current(self.live)
        if version is None:
            raise NotReadyError(
                f"There are no learned prompts yet: start the training `{TRAINER}`, or use the model `medsam`."
            )
        with self._lock:
            if self._loaded is None or self._loaded[0] != version.name:
                predictor = LearnedPredictor(LearnedModel.load(version.folder), *self.live.promptable())
                predictor.learned.check_promptable(predictor.model)
                self._loaded = version.name, predictor
            return version, self._loaded[1]


class PromptLearner(LoopTrainer):
    """Learns prompts from tight boxes: of gold labels, and of `boxes.csv`."""

    summary = "Prompts learned from tight boxes alone, for segmentation without clicks"
    stats_file = STATS_FILE
    parts = _PARTS

    def config(self) -> dict[str, Any]:
        """What a viewer offers to change."""
        return {"max_epochs": PROMPT_RECIPE.epochs}

    def check(self) -> None:
        """Refuse a training that could only fail.

        Raises:
            NotReadyError: there are too few gold labels and boxes.
            BadRequestError: `boxes.csv` does not fit the studies.
        """
        from autoweak.loop.boxed import MINIMUM_IMAGES
        from autoweak.studies.boxes import BOXES_FILE, read_boxes

        studies = self._datastore.studies()
        ids = {study.image_id for study in studies.studies}
        try:
            boxed = set(read_boxes(studies.root, labels=self._live.task.labels, images=ids))
        except StudiesError as error:
            raise BadRequestError(str(error)) from error
        known = len(boxed | {study.image_id for study in studies.gold})
        if known < MINIMUM_IMAGES:
            raise NotReadyError(
                f"There are {known} images with a gold label or with boxes in {BOXES_FILE}, and learning prompts needs "
                f"at least {MINIMUM_IMAGES} (10 to 25 are better): save labels of more images first."
            )

    def asked(self) -> None:
        """A client has asked for this training."""
        self._path(ASKED_FILE).touch()

    def stopped(self) -> None:
        """A client has stopped the trainings, those that wait as well."""
        self._path(ASKED_FILE).unlink(missing_ok=True)

    def __call__(self, request: Mapping[str, Any], datastore: object = None) -> dict[str, Any]:
        """See `LoopTrainer`; one that was stopped while it waited does not begin."""
        if not self._path(ASKED_FILE).exists():
            return {"reason": "stopped before it began"}
        return super().__call__(request, datastore)

    def train(self, progress: StatsProgress, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `LoopTrainer`."""
        from autoweak.loop.learned import Learner, train_learned

        recipe = replace(PROMPT_RECIPE, epochs=_epochs(request))
        self._datastore.bring_all(progress)
        context = self._live.context(self._datastore.studies(), progress=progress)
        with self._live.workspace.lock():
            version = train_learned(Learner.load(context, recipe))
        record = self._live.workspace.record(version)
        known = {"model": version.name, "gold": record["gold"], "boxed": record["boxed"]}
        return {**known, "problems": len(context.problems)}

    def best(self) -> ModelVersion | None:
        """The current learned prompts."""
        return current(self._live)


def _epochs(request: Mapping[str, Any]) -> int:
    value = request.get("max_epochs", PROMPT_RECIPE.epochs)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_EPOCHS:
        raise BadRequestError(f"max_epochs must be a whole number from 1 to {_MOST_EPOCHS}, got {str(value)[:40]!r}.")
    return value
