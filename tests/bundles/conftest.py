"""Copies of the bundles, tiny studies of every kind, and workspaces with trained models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow
from PIL import Image

from autoweak.loop.coarse import train_coarse
from autoweak.loop.context import Context
from autoweak.loop.gold import read_gold
from autoweak.resources import resource_path
from autoweak.tasks import Coarse, CoarseNetwork, Intensity, IntensityKind, Mirror, Plane, Task

BUNDLES = ("coarse_segmentation", "medsam_from_coarse", "medsam_learned_prompt")
KINDS = ("grey", "colour", "volume")
NESTED = "grey with UNet++"
GOLD, ALL = 4, 6
Copy = Callable[[str], Path]


def task_of_kind(kind: str) -> Task:
    """A task with a training of seconds, whose policy prompts for whatever little was learned."""
    if kind == NESTED:
        plain = task_of_kind("grey")
        changes = {"network": CoarseNetwork.UNETPLUSPLUS, "learning_rate": 0.002}
        coarse = plain.coarse.model_copy(update=changes)
        return plain.model_copy(update={"coarse": coarse})
    return Task(
        name=f"toy_{kind}",
        description="bright discs in noise",
        modality="none",
        dimension=3 if kind == "volume" else 2,
        channels=3 if kind == "colour" else 1,
        labels={"disc": 1} if kind == "grey" else {"disc": 1, "ring": 2},
        intensity=Intensity(kind=IntensityKind.PERCENTILE),
        plane=Plane.SAGITTAL if kind == "volume" else Plane.AXIAL,
        mirror=(Mirror.HORIZONTAL,) if kind == "grey" else (),
        components=2 if kind == "colour" else 1,
        policy="box_points" if kind == "volume" else "default",
        policy_options={"thresholds": [0.3, 0.15], "peak": 0.0, "minimum_area": 0.0},
        coarse=Coarse(size=32, epochs=1, folds=2, batch_size=4, learning_rate=0.006),
    )


def draw(seed: int, *, size: tuple[int, int] = (41, 52)) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc with a darker ring, uint8 (H, W), and its mask 0, 1, 2."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    distance = np.hypot(rows - rng.uniform(15, 26), columns - rng.uniform(18, 34))
    mask = np.where(distance < 7, 1, np.where(distance < 12, 2, 0)).astype(np.uint8)
    levels = np.array([60, 220, 140])[mask]
    return np.clip(levels + rng.normal(0, 10, mask.shape), 0, 255).astype(np.uint8), mask


def write_study(folder: Path, kind: str, seed: int, *, gold: bool) -> None:
    """One image of a kind with its label: 16-bit or RGBA pictures, or a volume with oblique axes."""
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True, exist_ok=True)
    image, mask = draw(seed)
    if kind == "volume":
        stack = np.stack([draw(seed * 10 + index, size=(30, 36))[0] for index in range(4)])
        masks = np.stack([draw(seed * 10 + index, size=(30, 36))[1] for index in range(4)])
        # Oblique, but not sheared: ITK's NIfTI cannot say shear.
        turn = np.array([[0.995, 0.0998, 0], [0.0998, -0.995, 0], [0, 0, -1]])
        affine = np.eye(4)
        affine[:3] = np.column_stack([turn * (0.9, 1.1, 1.5), (5, -3, 2)])
        nibabel.save(nibabel.Nifti1Image(stack.astype(np.int16) * 3 - 100, affine), folder / f"case{seed}.nii.gz")
        if gold:
            nibabel.save(nibabel.Nifti1Image(masks, affine), labels / f"case{seed}.nii.gz")
        return
    if kind == "grey":
        mask = (mask == 1).astype(np.uint8)
        Image.fromarray(image.astype(np.uint16) * 200).save(folder / f"case{seed}.png")
    else:
        rgba = np.dstack([image, 255 - image, image // 2, np.full_like(image, 255)])
        Image.fromarray(rgba).save(folder / f"case{seed}.png")
    if gold:
        Image.fromarray(mask).save(labels / f"case{seed}.png")


def write_studies(folder: Path, kind: str, *, gold: int = GOLD, images: int = ALL) -> Path:
    """Studies of a kind, the first ones with gold labels."""
    for seed in range(images):
        write_study(folder, kind, seed, gold=seed < gold)
    return folder


@dataclass(frozen=True)
class Trained:
    """Studies with a trained coarse model in their workspace."""

    kind: str
    studies: Path
    task: Task

    def context(self) -> Context:
        return Context.open(self.studies, self.task)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """Studies of a kind with a coarse model, trained once a session; its training is real and takes seconds."""
    made: dict[str, Trained] = {}

    def train(kind: str) -> Trained:
        if kind not in made:
            studies = write_studies(tmp_path_factory.mktemp("trained") / "studies", "grey" if kind == NESTED else kind)
            task = task_of_kind(kind)
            context = Context.open(studies, task)
            version = train_coarse(context, read_gold(context))
            context.workspace.publish(version, reason="test")
            made[kind] = Trained(kind, studies, task)
        return made[kind]

    return train


@pytest.fixture
def copy_of(tmp_path: Path) -> Copy:
    """Copies a bundle of the project, so that a test may train and write in it."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(resource_path("bundles") / name, tmp_path / name))

    return copy


def workflow(bundle: Path, *configs: str, kind: str, **overrides: Any) -> ConfigWorkflow:
    """A workflow of a bundle's configs, ready to run; logging is left as it is."""
    files = [str(bundle / "configs" / f"{name}.json") for name in configs]
    made = ConfigWorkflow(config_file=files, workflow_type=kind, logging_file=False, **overrides)
    made.initialize()
    return made


def mask_in(path: Path) -> np.ndarray:
    """The values of a mask file."""
    if path.suffix == ".png":
        return np.asarray(Image.open(path))
    return np.asarray(nibabel.load(path).dataobj)
