"""What every step of the loop shares: studies, task, workspace, seed, progress, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from autoweak.errors import AutoweakError, ImageError
from autoweak.progress import NoProgress, Progress
from autoweak.studies import StudiesFolder, Study, StudyImage, open_studies, read_study, to_channels, to_uint8
from autoweak.tasks import Task
from autoweak.workspace import Workspace

if TYPE_CHECKING:
    from autoweak.promptable import EmbeddingCache, Promptable
    from autoweak.prompts import PromptPolicy
    from autoweak.synthesis.studies import SyntheticStudies

# 4 GB hold about 28,000 slices of the small model, or 1,000 of MedSAM.
EMBEDDING_CACHE_BYTES = 4 * 1024**3

AUTO = "auto"
"""The name of no policy: the one that does best on held-out gold is taken."""

_BEGINNING = "fused"


@dataclass(frozen=True)
class Problem:
    """An image that was passed over, and why."""

    image_id: str
    reason: str


@dataclass
class Context:
    """One run over one studies folder. Problems and notes are collected, not raised, so the run goes on.

    Where `chooses` is set, `policy` is where the choice on held-out gold begins; else it is the policy.
    """

    studies: StudiesFolder
    task: Task
    workspace: Workspace
    policy: PromptPolicy
    seed: int = 0
    chooses: bool = False
    promptable: str | None = None
    checkpoint: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    progress: Progress = field(default_factory=NoProgress)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        root: Path,
        task: Task,
        *,
        seed: int = 0,
        promptable: str | None = None,
        checkpoint: Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        policy_name: str | None = None,
        progress: Progress | None = None,
    ) -> Context:
        """Open a studies folder and its workspace.

        Raises:
            PromptError: when there is no such prompt policy.
            StudiesError: when the folder is not a studies folder.
            WorkspaceError: when its workspace belongs to another task.
        """
        studies = open_studies(root)
        policy = policy_of(task, policy_name)
        workspace = Workspace.of_studies(studies.root)
        workspace.check_task(task.name)
        context = cls(
            studies=studies,
            task=task,
            workspace=workspace,
            policy=policy,
            seed=seed,
            chooses=chooses(task, policy_name),
            promptable=promptable,
            checkpoint=checkpoint,
            device=device,
            precision=precision,
            progress=progress or NoProgress(),
        )
        context.notes.extend(studies.notes)
        return context

    @cached_property
    def synthetic(self) -> SyntheticStudies:
        """The synthetic images that lie beside the studies; what was left aside of them becomes notes.

        Raises:
            StudiesError: their folder cannot be listed.
        """
        from autoweak.synthesis.studies import synthetic_studies

        found = synthetic_studies(self.studies, self.workspace.root)
        self.notes.extend(found.notes)
        return found

    @property
    def unlabelled(self) -> tuple[Study, ...]:
        """What gets weak labels: images of patients without a gold label, then synthetic ones."""
        return (*self.studies.unlabelled, *self.synthetic.studies)

    def remember_task(self) -> None:
        """Record the task in the workspace: from now on the studies are for it."""
        self.workspace.remember_task(self.task.model_dump(mode="json"))

    def load_promptable(self) -> tuple[Promptable, EmbeddingCache]:
        """The promptable model and the cache of its embeddings."""
        from autoweak.promptable import EmbeddingCache, load_promptable

        # A checkpoint alone says itself which model it is.
        name = self.promptable or (None if self.checkpoint else self.task.promptable)
        model = load_promptable(name, checkpoint=self.checkpoint, device=self.device, precision=self.precision)
        return model, EmbeddingCache(self.workspace.embeddings, max_bytes=EMBEDDING_CACHE_BYTES)

    def read(self, study: Study) -> tuple[StudyImage, npt.NDArray[Any]] | None:
        """The image and its 8-bit view (S, H, W, C) as the models see it, or None with the problem recorded."""
        try:
            image = read_study(study, plane=self.task.plane)
            return image, view_of(image, self.task)
        except AutoweakError as error:
            self.report_problem(study.image_id, error)
            return None

    def report_problem(self, image_id: str, error: AutoweakError) -> None:
        """Record that an image was passed over, once."""
        problem = Problem(image_id, str(error))
        if problem not in self.problems:
            self.problems.append(problem)


def chooses(task: Task, name: str | None = None) -> bool:
    """Whether the policy of that name, or the task's own, is to be chosen on held-out gold."""
    return (name or task.policy) == AUTO


def policy_of(task: Task, name: str | None = None, *, options: Mapping[str, Any] | None = None) -> PromptPolicy:
    """The prompt policy of that name, or the task's own; published policies are taken exactly as published.

    For `auto` it is the policy that the choice begins from.

    Args:
        task: its components, and its options for its own policy.
        name: of the policy; None takes the task's.
        options: what else to change, also in a published one.

    Raises:
        PromptError: when there is no such policy, or the task's options do not fit it.
    """
    from autoweak.prompts import get_policy

    name = name or task.policy
    changes = dict(options or {})
    if name.endswith("_published"):
        return get_policy(name, **changes)
    own = task.policy_options if name == task.policy else {}
    name = _BEGINNING if name == AUTO else name
    return get_policy(name, **{"components": task.components, **own, **changes})


def view_of(image: StudyImage, task: Task) -> npt.NDArray[Any]:
    """The 8-bit view (S, H, W, C) of an image under a task's intensity settings and channels.

    Raises:
        ImageError: when the image is a volume and the task is for pictures, or the other way round.
    """
    slices = image.pixels.shape[0]
    if task.dimension == 2 and slices > 1:
        raise ImageError(
            f"{image.image_id} is a volume of {slices} slices and task {task.name} is for pictures: use a 3D task."
        )
    if task.dimension == 3 and not image.geometry.is_volume:
        raise ImageError(f"{image.image_id} is a picture and task {task.name} is for volumes: use a 2D task.")
    return to_channels(to_uint8(image, task.intensity), task.channels)
