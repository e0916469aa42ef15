"""How a network for slices meets a picture or a volume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.inferers import Inferer, SimpleInferer, SliceInferer

from autoweak.bundle.reading import task_of

# All slices of a volume go to the network at once, which divides them itself: prompts depend on a slice's number.
_ALL_SLICES = 1 << 20


def inferer_of(task: Mapping[str, Any] | str) -> Inferer:
    """Pictures of a 2D task as they are, volumes of a 3D task slice by slice, at full size.

    Raises:
        TaskError: it is not a valid task.
    """
    if task_of(task).dimension == 2:
        return SimpleInferer()
    return SliceInferer(roi_size=(-1, -1), spatial_dim=2, sw_batch_size=_ALL_SLICES)
