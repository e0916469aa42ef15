"""The fitted quality as the workspace keeps it, with the model whose weak labels it speaks of."""

from __future__ import annotations

import json

from autoweak.atomic import write_json
from autoweak.errors import AutoweakError
from autoweak.weak_labels import QualityModel
from autoweak.workspace import ModelVersion, Workspace

_FILE = "quality.json"


def keep_quality(workspace: Workspace, version: ModelVersion, quality: QualityModel) -> None:
    """Keep what was fitted on the weak labels of `version`, in the place of what was kept before."""
    write_json(workspace.root / _FILE, {"model": _model(workspace, version), "quality": quality.to_dict()})


def kept_quality(workspace: Workspace, version: ModelVersion) -> QualityModel:
    """What was fitted on the weak labels of `version`; a model without calibration where nothing was, or is damaged."""
    try:
        content = json.loads((workspace.root / _FILE).read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("model") != _model(workspace, version):
            return QualityModel()
        return QualityModel.from_dict(content["quality"])
    except (OSError, ValueError, KeyError, TypeError, AutoweakError):
        return QualityModel()


def _model(workspace: Workspace, version: ModelVersion) -> dict[str, object]:
    # The hash as well: a version that was deleted and trained anew has the same name.
    return {"version": version.name, "sha256": workspace.record(version).get("sha256")}
