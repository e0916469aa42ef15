"""Turning a workspace's trained models into a MONAI bundle of their own."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoweak import atomic
from autoweak.errors import WorkspaceError
from autoweak.resources import resource_path
from autoweak.workspace import ModelChoice, ModelVersion, Workspace

if TYPE_CHECKING:
    from torch import nn

    from autoweak.loop.context import Context
    from autoweak.tasks import Task
    from autoweak.training import TrainedModel

COARSE_BUNDLE, WEAK_BUNDLE, LEARNED_BUNDLE = "coarse_segmentation", "medsam_from_coarse", "medsam_learned_prompt"


class ExportChoice(str, Enum):
    """What becomes a bundle: a trained model, the way from an image to its weak label, or learned prompts."""

    COARSE = "coarse"
    RETRAINED = "retrained"
    FINAL = "final"
    WEAK = "weak"
    LEARNED = "learned"


@dataclass(frozen=True)
class Source:
    """What a bundle is made of.

    Attributes:
        template: bundle of the project whose configs it gets.
        network: with its weights, in evaluation mode.
        definition: `network_def` that builds it.
        task: what it segments.
        version: of the trained model in it.
        record: what the workspace knows of that model.
        parts: SHA-256 of the weights in it, by what they are.
        settings: what else its masks depend on, as plain data.
        trained: what in it was trained, in words.
    """

    template: str
    network: nn.Module
    definition: Mapping[str, Any]
    task: Task
    version: ModelVersion
    record: Mapping[str, Any]
    parts: Mapping[str, str]
    settings: Mapping[str, Any]
    trained: str = "coarse model"

    @property
    def prompts(self) -> bool:
        """Whether it is the way to weak labels, not a trained model alone."""
        return self.template == WEAK_BUNDLE


@dataclass(frozen=True)
class Exported:
    """What `export` did: the bundle's folder, the model in it, and the bytes of its weights."""

    folder: Path
    model: str
    weights_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """As plain data for `--json`."""
        return {"bundle": str(self.folder), "model": self.model, "weights_bytes": self.weights_bytes}


def trained_source(workspace: Workspace, choice: ModelChoice) -> Source:
    """A trained model of a workspace, all its members in one network.

    Raises:
        WorkspaceError: there is no such model.
        CheckpointError: its files are damaged.
    """
    from autoweak.loop.coarse import load_model

    version = workspace.choose(choice)
    model = load_model(version)
    return Source(
        template=COARSE_BUNDLE,
        network=ensemble_of(model),
        definition=ensemble_definition(model),
        task=workspace.recorded_task(),
        version=version,
        record=workspace.record(version),
        parts={"coarse model": model.sha256},
        settings={},
    )


def weak_source(context: Context) -> Source:
    """The model that makes weak labels, the prompt policy and the promptable model of a context, in one network.

    Raises:
        WorkspaceError: there is no coarse model.
        CheckpointError: weights are missing or damaged.
    """
    from autoweak.loop.choosing import policy_in_use
    from autoweak.loop.coarse import load_model
    from autoweak.loop.retrain import current_coarse, labelling_version
    from autoweak.networks.medsam_from_coarse import MedsamFromCoarse

    version = labelling_version(context.workspace, current_coarse(context))
    model = load_model(version)
    promptable, _ = context.load_promptable()
    options: dict[str, Any] = {
        "promptable": promptable.name,
        "policy": policy_in_use(context, coarse=model, promptable=promptable).to_dict(),
        "seed": context.seed,
        "precision": promptable.precision.value,
    }
    network = MedsamFromCoarse(ensemble_of(model), **options)
    network.take_promptable(promptable)
    return Source(
        template=WEAK_BUNDLE,
        network=network.eval(),
        definition={
            "_target_": "autoweak.networks.medsam_from_coarse.MedsamFromCoarse",
            "coarse": ensemble_definition(model),
            **options,
        },
        task=context.task,
        version=version,
        record=context.workspace.record(version),
        parts={"coarse model": model.sha256, f"promptable model {promptable.name}": promptable.sha256},
        settings={key: options[key] for key in ("policy", "seed", "precision")},
    )


def learned_source(workspace: Workspace, **promptable: Any) -> Source:
    """The current learned prompts of a workspace and their promptable model, in one network.

    Args:
        workspace: of the studies.
        promptable: as of `load_predictor`, where its weights are not those that the program knows.

    Raises:
        WorkspaceError: there are no learned prompts.
        CheckpointError: weights are missing, damaged, or of another promptable model.
    """
    from autoweak.loop.learned import load_predictor
    from autoweak.networks.learned_prompt import LearnedPromptSegmenter

    version = workspace.choose(ModelChoice.LEARNED)
    found = load_predictor(version, workspace, **promptable)
    network = LearnedPromptSegmenter.of(found.model, found.learned.prompts)
    return Source(
        template=LEARNED_BUNDLE,
        network=network.eval(),
        definition={"_target_": "autoweak.networks.learned_prompt.LearnedPromptSegmenter", **network.options},
        task=workspace.recorded_task(),
        version=version,
        record=workspace.record(version),
        parts={"learned prompts": found.learned.sha256, f"promptable model {found.model.name}": found.model.sha256},
        settings={"promptable": found.model.name},
        trained="prompts",
    )


def export(source: Source, out: Path) -> Exported:
    """Write a bundle, which appears whole or not at all.

    It holds no image, no label and no image's name: of the gold and weak labels only how many there were.

    Args:
        source: what it is made of.
        out: its folder, whose name is the bundle's; it must not exist or be empty.

    Raises:
        WorkspaceError: `out` exists and is not empty.
    """
    check_target(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    for leftover in out.parent.glob(f".unfinished-{out.name}-*"):  # of a killed export
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".unfinished-{out.name}-", dir=out.parent) as holder:
        fresh = Path(holder) / out.name
        _write(source, fresh)
        size = (fresh / "models" / "model.pt").stat().st_size
        if out.exists():
            out.rmdir()
        fresh.rename(out)
    return Exported(out, source.version.name, size)


def check_target(out: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        WorkspaceError: it is a file, or a folder that is not empty.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        msg = f"{out} exists and is not an empty folder; choose another --out, or remove it first."
        raise WorkspaceError(msg)


def ensemble_of(model: TrainedModel) -> nn.Module:
    """All members of a trained model as one network, as `TrainedModel.predict` uses them."""
    from autoweak.networks.ensemble import Ensemble

    return Ensemble.of(model.members, size=model.card.size, mirror=model.card.mirror).eval()


def ensemble_definition(model: TrainedModel) -> dict[str, Any]:
    """What builds `ensemble_of(model)` in a `network_def`."""
    return {
        "_target_": "autoweak.networks.ensemble.Ensemble",
        "member": {**model.card.definition, "_mode_": "callable"},
        "count": len(model.members),
        "size": model.card.size,
        "mirror": list(model.card.mirror),
    }


def _write(source: Source, folder: Path) -> None:
    from autoweak.bundle import describe
    from autoweak.bundle.shipped import WEIGHTS, plain_state, save_state

    template = resource_path("bundles") / source.template
    (folder / "configs").mkdir(parents=True)
    for name in ("train.json", "evaluate.json", "multi_gpu_train.json", "logging.conf"):
        shutil.copyfile(template / "configs" / name, folder / "configs" / name)
    shutil.copyfile(template / "LICENSE", folder / "LICENSE")
    save_state(folder / WEIGHTS, plain_state(source.network))
    config = json.loads((template / "configs" / "inference.json").read_text(encoding="utf-8"))
    config.update(
        task=source.task.model_dump(mode="json"),
        in_channels=source.task.channels,
        out_channels=source.task.num_labels,
        network_def=dict(source.definition),
    )
    if source.template == LEARNED_BUNDLE:
        config["promptable"] = source.definition["promptable"]
    atomic.write_json(folder / "configs" / "inference.json", config)
    metadata = json.loads((template / "configs" / "metadata.json").read_text(encoding="utf-8"))
    atomic.write_json(folder / "configs" / "metadata.json", describe.metadata(source, metadata, folder=folder))
    atomic.write_text(folder / "docs" / "README.md", describe.readme(source, name=folder.name))
    atomic.write_text(folder / "docs" / "data_license.txt", describe.data_license(source))
