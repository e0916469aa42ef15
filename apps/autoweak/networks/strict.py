"""A network that takes all of its weights or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from autoweak.errors import CheckpointError


class StrictModule(nn.Module):
    """Refuses weights of another network, also where the caller asks for less: MONAI Label loads with `strict=False`.

    What such a network does not find in a file would stay random, and its masks would look like masks.
    """

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load all weights.

        Raises:
            CheckpointError: weights are missing, unknown or of another shape.
        """
        check_fits(self.state_dict(), state_dict)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


def check_fits(wanted: Mapping[str, Tensor], found: Mapping[str, Any]) -> None:
    """Compare names and shapes of weights.

    Args:
        wanted: state dict of the network; `found`: what a file holds.

    Raises:
        CheckpointError: they differ, in one sentence.
    """
    missing = [name for name in wanted if name not in found]
    unknown = [name for name in found if name not in wanted]
    shapes = {name: tuple(getattr(found[name], "shape", ())) for name in wanted if name in found}
    other = [name for name, shape in shapes.items() if shape != tuple(wanted[name].shape)]
    if missing:
        why = f"{len(missing)} of {len(wanted)} are missing, the first {missing[0]!r}"
    elif other:
        name = other[0]
        why = f"{name!r} has the shape {shapes[name]}, not {tuple(wanted[name].shape)}"
    elif unknown:
        why = f"{len(unknown)} are unknown, the first {unknown[0]!r}"
    else:
        return
    msg = (
        f"The weights are not of this network ({why}); use those that were saved with its definition, "
        "with the same numbers of channels and labels."
    )
    raise CheckpointError(msg)
