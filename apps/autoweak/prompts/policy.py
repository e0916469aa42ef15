"""How a coarse map becomes prompts: the settings, checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from autoweak.errors import PromptError
from autoweak.prompts.prompt import Keep, Positive, PromptKind

_Choice = TypeVar("_Choice", bound=Enum)


@dataclass(frozen=True)
class PromptPolicy:
    """How a coarse map becomes prompts. Strings are accepted for the enums and lists for the thresholds.

    Attributes:
        name: the name it is listed under; changing other fields does not change it.
        kind: box, points, or both.
        thresholds: probabilities (0 to 1], tried in this order until one leaves a component to keep.
        peak: a component counts only if its highest probability reaches this; 0 asks for nothing more
            than the threshold. It keeps the lower thresholds from making prompts of noise.
        minimum_area: a component counts only if it covers this fraction of the slice, 0 to 1.
        components: at most this many components of a class in a slice.
        relative_area: components below this fraction of the largest one's area are dropped, 0 to 1.
        keep: which components come first when there are more than `components`; or all as one, whatever
            `components` says.
        connectivity: 4 or 8 neighbours join a component.
        fill_holes: close the holes of a component.
        margin: widens the box by this fraction of its width and height on each side, inside the image.
        positive: where the positive point goes.
        negatives: at most this many negative points (label 0 in SAM's words) for each component.
        passes: 2 decodes the box alone first, then the points with the first pass's low-resolution
            logits as mask prompt, as S3 does; the kind must then be box_points.
        jitter: decode each box larger, smaller and moved to each side as well, by this share of its width and
            height (0 to below 0.5), and take the mean of the probabilities.
        coarse_share: how much the coarse map counts beside the promptable model in the weak label, 0 (not at
            all) to 1 (alone, as it predicts); see `weak_labels.decode.fuse`.
        canvas: None works at the map's own size and precision. A number resamples the map to a square
            of that many pixels and cuts it to 8 bits first, as S1's stored maps are.

    Raises:
        PromptError: a value is of the wrong type or out of its range.
    """

    name: str
    kind: PromptKind = PromptKind.BOX
    thresholds: tuple[float, ...] = (0.5, 0.39, 0.2)
    peak: float = 0.35
    minimum_area: float = 0.0005
    components: int = 1
    relative_area: float = 0.1
    keep: Keep = Keep.PROBABILITY
    connectivity: int = 8
    fill_holes: bool = True
    margin: float = 0.0
    positive: Positive = Positive.INTERIOR
    negatives: int = 0
    passes: int = 1
    jitter: float = 0.0
    coarse_share: float = 0.0
    canvas: int | None = None

    def __post_init__(self) -> None:
        """Bring the values into their types, and check them."""
        set_field = object.__setattr__
        if not isinstance(self.name, str) or not self.name:
            raise PromptError(f"A prompt policy needs a name, a text that is not empty; got {self.name!r}.")
        set_field(self, "kind", _choice("kind", self.kind, PromptKind))
        set_field(self, "keep", _choice("keep", self.keep, Keep))
        set_field(self, "positive", _choice("positive", self.positive, Positive))
        set_field(self, "thresholds", _thresholds(self.thresholds))
        for field, highest in (
            ("peak", 1.0),
            ("minimum_area", 1.0),
            ("relative_area", 1.0),
            ("margin", 2.0),
            ("jitter", 0.45),
            ("coarse_share", 1.0),
        ):
            set_field(self, field, _number(field, getattr(self, field), highest))
        _whole("components", self.components, 1, 64)
        _whole("negatives", self.negatives, 0, 16)
        _whole("passes", self.passes, 1, 2)
        if self.canvas is not None:
            _whole("canvas", self.canvas, 16, 4096)
        if self.connectivity not in (4, 8):
            raise PromptError(f"The policy's connectivity must be 4 or 8; got {self.connectivity!r}.")
        if not isinstance(self.fill_holes, bool):
            raise PromptError(f"The policy's fill_holes must be true or false; got {self.fill_holes!r}.")
        if self.jitter > 0 and not self.kind.has_box:
            raise PromptError("The policy's jitter moves boxes: set its kind to 'box' or 'box_points', or jitter to 0.")
        if self.passes == 2 and self.kind is not PromptKind.BOX_POINTS:
            raise PromptError(
                f"Two passes need a box for the first and points for the second: set the policy's kind to "
                f"'box_points' instead of {self.kind.value!r}, or its passes to 1."
            )

    @property
    def floor(self) -> float:
        """The probability (0 to 1) below which a map makes no prompt at all."""
        return max(self.peak, min(self.thresholds))

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values; `PromptPolicy(**policy.to_dict())` gives an equal policy."""
        fields = dataclasses.asdict(self)
        plain = {name: value.value if isinstance(value, Enum) else value for name, value in fields.items()}
        return {**plain, "thresholds": list(self.thresholds)}


def _choice(field: str, value: Any, enum: type[_Choice]) -> _Choice:
    try:
        return enum(value)
    except ValueError:
        known = ", ".join(repr(member.value) for member in enum)
        raise PromptError(f"The policy's {field} must be one of {known}; got {value!r}.") from None


def _thresholds(values: Any) -> tuple[float, ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence) or not values:
        raise PromptError(f"The policy's thresholds must be a list of at least one probability; got {values!r}.")
    for value in values:
        if not _is_finite(value) or not 0 < value <= 1:
            raise PromptError(f"Each of the policy's thresholds must lie above 0 and at most at 1; got {value!r}.")
    return tuple(float(value) for value in values)


def _number(field: str, value: Any, highest: float) -> float:
    if not _is_finite(value) or not 0 <= value <= highest:
        raise PromptError(f"The policy's {field} must be a number from 0 to {highest:g}; got {value!r}.")
    return float(value)


def _whole(field: str, value: Any, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise PromptError(f"The policy's {field} must be a whole number from {lowest} to {highest}; got {value!r}.")


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
