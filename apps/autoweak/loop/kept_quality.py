"""The fitted quality as the workspace keeps it, with all that made the weak labels it speaks of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from autoweak.atomic import write_json
from autoweak.errors import AutoweakError
from autoweak.weak_labels import QualityModel

if TYPE_CHECKING:
    from autoweak.loop.label import Labeller

QUALITY = "quality.json"
"""File of the workspace."""


def keep_quality(labeller: Labeller) -> None:
    """Keep what was fitted on this labeller's weak labels, in the place of what was kept before."""
    content = {"made_with": _made_with(labeller), "quality": labeller.quality.to_dict()}
    write_json(labeller.context.workspace.root / QUALITY, content)


def kept_quality(labeller: Labeller) -> QualityModel:
    """What was fitted on weak labels of the same models and policy.

    Where nothing was, or what is kept is damaged, a model without calibration: another promptable model's scores, or
    another policy's, mean something else.
    """
    try:
        content = json.loads((labeller.context.workspace.root / QUALITY).read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("made_with") != _made_with(labeller):
            return QualityModel()
        return QualityModel.from_dict(content["quality"])
    except (OSError, ValueError, KeyError, TypeError, AutoweakError):
        return QualityModel()


def _made_with(labeller: Labeller) -> Any:
    settings = labeller.settings()
    # As JSON gives it back, tuples and all.
    return json.loads(json.dumps({key: settings[key] for key in ("task", "coarse", "promptable", "policy")}))
