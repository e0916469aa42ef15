"""Predicting masks with a trained model, on studies or on any folder of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autoweak.atomic import remove_partials
from autoweak.errors import AutoweakError
from autoweak.loop.coarse import load_model
from autoweak.loop.context import Problem, view_of
from autoweak.loop.masks import mask_of
from autoweak.loop.prediction_folder import PredictionFolder
from autoweak.progress import NoProgress, Progress, each
from autoweak.studies import Study, list_images, read_study
from autoweak.tasks import Task
from autoweak.workspace import ModelChoice, ModelKind, ModelVersion, Workspace


class Predictor(Protocol):
    """A trained model of any kind; see `autoweak.training.TrainedModel.predict`."""

    def predict(self, view: npt.NDArray[Any], /) -> npt.NDArray[np.float32]:
        """Probability maps (S, K, H, W) of a view (S, H, W, C)."""


@dataclass(frozen=True)
class Predictions:
    """What `predict` did."""

    model: str
    written: tuple[Path, ...]
    empty: tuple[str, ...]
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain data for `--json`."""
        return {
            "model": self.model,
            "written": [str(path) for path in self.written],
            "empty": list(self.empty),
            "problems": [vars(problem) for problem in self.problems],
        }


def predict(
    images: Path,
    out: Path,
    *,
    workspace: Workspace,
    task: Task,
    choice: ModelChoice,
    progress: Progress | None = None,
    **promptable: Any,
) -> Predictions:
    """Write one mask an image into `out`, in the image's own size and geometry, with the task's label values.

    Args:
        images: a studies folder, a folder of images, or one image.
        out: the folder for `<image id>.png` or `.nii.gz`; not a studies' label folder. A file there that was not
            predicted is kept, and its image becomes a problem.
        workspace: where the model is.
        task: the task the model was trained for.
        choice: which of its models.
        progress: follows the work.
        promptable: of learned prompts alone, the options of `load_predictor` that say which promptable model to use.

    Raises:
        StudiesError: when there are no images, or `out` is a label folder of studies.
        WorkspaceError: when there is no such model.
        CheckpointError: when its files are damaged, or its promptable model is not here.
    """
    folder = PredictionFolder(out)
    version = workspace.choose(choice)
    studies = list_images(images)
    progress = progress or NoProgress()
    model = _load(version, workspace, promptable)
    out.mkdir(parents=True, exist_ok=True)
    remove_partials(out)
    progress.stage("Predicting")
    results = [_predict_one(study, folder, model=model, task=task) for study in each(studies, progress)]
    return _summary(version, studies, results)


def _load(version: ModelVersion, workspace: Workspace, promptable: dict[str, Any]) -> Predictor:
    if version.kind is not ModelKind.LEARNED:
        return load_model(version)
    from autoweak.loop.learned import load_predictor

    return load_predictor(version, workspace, **promptable)


def _predict_one(
    study: Study, folder: PredictionFolder, *, model: Predictor, task: Task
) -> tuple[Path, bool] | Problem:
    try:
        image = read_study(study, plane=task.plane)
        mask = mask_of(model.predict(view_of(image, task)), task)
        path = folder.write(mask, image=image)
    except AutoweakError as error:
        return Problem(study.image_id, str(error))
    return path, bool(mask.any())


def _summary(
    version: ModelVersion, studies: tuple[Study, ...], results: list[tuple[Path, bool] | Problem]
) -> Predictions:
    written, empty, problems = [], [], []
    for study, result in zip(studies, results, strict=True):
        if isinstance(result, Problem):
            problems.append(result)
            continue
        written.append(result[0])
        if not result[1]:
            empty.append(study.image_id)
    return Predictions(version.name, tuple(written), tuple(empty), tuple(problems))
