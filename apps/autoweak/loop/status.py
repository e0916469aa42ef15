"""What a studies folder holds: gold, weak, unlabelled; quality; models."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoweak.errors import AutoweakError
from autoweak.studies import StudiesFolder, open_studies
from autoweak.synthesis.studies import synthetic_studies
from autoweak.weak_labels import Status, read_sidecar
from autoweak.workspace import FOLDER_NAME, ModelKind, Workspace


@dataclass(frozen=True)
class StudiesStatus:
    """Counts and models of one studies folder; `weak` counts verdicts, `nothing found` and `unknown`.

    `synthetic` counts the synthetic images beside them; nothing else here counts those.
    """

    images: int
    gold: int
    unlabelled: int
    synthetic: int
    weak: dict[str, int]
    mean_quality: float | None
    models: tuple[dict[str, Any], ...]
    final: str | None

    def to_dict(self) -> dict[str, Any]:
        """As plain data for `--json`."""
        return {**vars(self), "models": list(self.models)}


def read_status(root: Path, studies: StudiesFolder | None = None) -> StudiesStatus:
    """Read the state of a studies folder; writes nothing.

    Args:
        root: the folder.
        studies: what is in it, where that is known better than the folder tells; None lists it.

    Raises:
        StudiesError: when the folder is not a studies folder.
    """
    studies = studies or open_studies(root)
    weak, qualities = _weak(studies)
    workspace = Workspace(studies.root / FOLDER_NAME)
    final = workspace.published()
    return StudiesStatus(
        images=len(studies.studies),
        gold=len(studies.gold),
        unlabelled=len(studies.unlabelled),
        synthetic=len(synthetic_studies(studies, workspace.root).studies),
        weak=weak,
        mean_quality=sum(qualities) / len(qualities) if qualities else None,
        models=tuple(_models(workspace)),
        final=f"{final['kind']}/v{final['version']:03d}" if final else None,
    )


def _weak(studies: StudiesFolder) -> tuple[dict[str, int], list[float]]:
    counts: Counter[str] = Counter()
    qualities = []
    for study in studies.unlabelled:
        if study.sidecar is None:
            if study.weak is not None:
                counts["unknown"] += 1
            continue
        try:
            sidecar = read_sidecar(study.sidecar)
        except AutoweakError:
            counts["unknown"] += 1
            continue
        if sidecar.status is Status.NOTHING_FOUND or sidecar.verdict is None:
            counts[Status.NOTHING_FOUND.value] += 1
            continue
        counts[sidecar.verdict.value] += 1
        if sidecar.quality is not None:
            qualities.append(sidecar.quality)
    return dict(counts), qualities


def _models(workspace: Workspace) -> list[dict[str, Any]]:
    models = []
    for kind in ModelKind:
        for version in workspace.versions(kind):
            record = workspace.record(version)
            kept = {key: record.get(key) for key in ("gold", "weak", "mean_cv_dice", "seed")}
            models.append({"model": version.name, **kept})
    return models
