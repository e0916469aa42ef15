"""What is segmented, read from a task file: labels, modality, dimension, intensity window, policy and models."""

from __future__ import annotations

import hashlib
import json
import math
import re
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

from autoweak.errors import TaskError

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MAX_LABELS = 254


class IntensityKind(str, Enum):
    """How stored values become the 8-bit view."""

    AS_IS = "as_is"
    PERCENTILE = "percentile"
    WINDOW = "window"


class Plane(str, Enum):
    """The anatomical plane a volume is sliced along."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class Mirror(str, Enum):
    """A flip of the slice that keeps the labels true: horizontal swaps columns, vertical swaps rows."""

    HORIZONTAL = "horizontal"
    VERTICAL = "vertical"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)


class CoarseNetwork(str, Enum):
    """A network that the bundle `coarse_segmentation` defines."""

    LARGE_KERNEL = "large_kernel"
    UNETPLUSPLUS = "unetplusplus"


def _plain_name(name: str) -> str:
    if not NAME_PATTERN.fullmatch(name):
        msg = f"must be letters, digits, '_' and '-' (at most 64), got {name!r}"
        raise ValueError(msg)
    return name


PlainName = Annotated[StrictStr, AfterValidator(_plain_name)]
"""Of a task or an experiment: it becomes a part of file names."""

Number = Annotated[float, Field(strict=False, allow_inf_nan=False)]


class Intensity(_Part):
    """How stored values become 0 to 255.

    `percentile` maps the `lower` and `upper` percentile (0 to 100) of the whole image to 0 and 255;
    `window` maps `level` - `width`/2 and `level` + `width`/2, in stored units (Hounsfield units for CT);
    `as_is` keeps 8-bit values.
    """

    kind: IntensityKind = IntensityKind.PERCENTILE
    lower: Annotated[Number, Field(ge=0, le=100)] = 0.5
    upper: Annotated[Number, Field(ge=0, le=100)] = 99.5
    level: Number | None = None
    width: Annotated[Number, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Intensity:
        if self.lower >= self.upper:
            msg = f"lower must be below upper, got {self.lower} and {self.upper}"
            raise ValueError(msg)
        missing = [key for key in ("level", "width") if getattr(self, key) is None]
        if self.kind is IntensityKind.WINDOW and missing:
            msg = f"kind window needs level and width, and {' and '.join(missing)} is missing"
            raise ValueError(msg)
        if self.kind is not IntensityKind.WINDOW and len(missing) < 2:
            msg = f"level and width belong to kind window, got kind {self.kind.value}"
            raise ValueError(msg)
        return self


class Coarse(_Part):
    """How the coarse model is trained; every key is explained in `configs/breast_ultrasound.yaml`."""

    size: Annotated[StrictInt, Field(ge=32, le=1024, multiple_of=16)]
    epochs: Annotated[StrictInt, Field(ge=1, le=10000)]
    folds: Annotated[StrictInt, Field(ge=2, le=20)] = 3
    batch_size: Annotated[StrictInt, Field(ge=1, le=256)] = 8
    learning_rate: Annotated[Number, Field(gt=0, le=1)] = 1e-3
    network: CoarseNetwork = CoarseNetwork.LARGE_KERNEL
    start: StrictBool = True
    zoom_out: Annotated[Number, Field(ge=1, le=4)] = 2.0
    padding: Literal["zeros", "border", "reflection"] = "reflection"


class Code(_Part):
    """A concept of a coding scheme, e.g. value 52988006, scheme SCT (SNOMED CT), meaning Lesion."""

    value: Annotated[StrictStr, Field(min_length=1, max_length=16)]
    scheme: Annotated[StrictStr, Field(min_length=1, max_length=16)] = "SCT"
    meaning: Annotated[StrictStr, Field(min_length=1, max_length=64)]


ColourPart = Annotated[StrictInt, Field(ge=0, le=255)]


class Segment(_Part):
    """What a label is in a DICOM segmentation: what kind of thing, which thing, and its colour (red, green, blue)."""

    category: Code | None = None
    type: Code | None = None
    colour: tuple[ColourPart, ColourPart, ColourPart] | None = None


class Task(_Part):
    """One task file, checked; every key is explained in `configs/breast_ultrasound.yaml`."""

    name: PlainName
    description: StrictStr
    modality: StrictStr
    dimension: Literal[2, 3]
    channels: Literal[1, 3]
    labels: dict[StrictStr, StrictInt]
    intensity: Intensity = Intensity()
    plane: Plane = Plane.AXIAL
    mirror: tuple[Mirror, ...] = ()
    rotation: Annotated[Number, Field(ge=0, le=180)] = 15.0
    components: Annotated[StrictInt, Field(ge=1, le=1000)] = 1
    policy: StrictStr = "auto"
    policy_options: dict[StrictStr, Any] = {}
    promptable: StrictStr = "small"
    segments: dict[StrictStr, Segment] = {}
    coarse: Coarse

    @field_validator("labels")
    @classmethod
    def _ordered_labels(cls, labels: dict[str, int]) -> dict[str, int]:
        expected = list(range(1, len(labels) + 1))
        if not labels or len(labels) > _MAX_LABELS:
            msg = f"must name 1 to {_MAX_LABELS} labels, got {len(labels)}"
            raise ValueError(msg)
        if list(labels.values()) != expected:
            got = ", ".join(f"{name} {value}" for name, value in labels.items())
            msg = f"values must be {_counted(expected)} in this order, got {got}"
            raise ValueError(msg)
        for name in labels:
            if name != name.strip() or not name.isprintable() or name.lower() in {"", "background"}:
                msg = f"{name!r} is not a label name (0 is always the background and is not listed)"
                raise ValueError(msg)
        return labels

    @model_validator(mode="after")
    def _plane_of_volume(self) -> Task:
        if self.dimension == 2 and self.plane is not Plane.AXIAL:
            msg = f"plane {self.plane.value} needs dimension 3, got dimension 2"
            raise ValueError(msg)
        if len(set(self.mirror)) != len(self.mirror):
            msg = "mirror lists a direction twice"
            raise ValueError(msg)
        unknown = sorted(set(self.segments) - set(self.labels))
        if unknown:
            msg = f"segments names {unknown[0]!r}, which is not among the labels {', '.join(self.labels)}"
            raise ValueError(msg)
        if not _is_plain(self.policy_options):
            msg = "policy_options must hold numbers, texts and lists of them"
            raise ValueError(msg)
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        """Label names in order of value: the name of value 1 first."""
        return tuple(self.labels)

    @property
    def num_labels(self) -> int:
        """How many labels there are, K; the background is not counted."""
        return len(self.labels)

    @property
    def sha256(self) -> str:
        """Hash of the checked content: two files that mean the same have the same hash."""
        # Codes and colours change how a label is sent, not what it is.
        plain = self.model_dump(mode="json", exclude={"segments"})
        content = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(content.encode("utf-8")).hexdigest()


def load_task(name_or_path: str | Path) -> Task:
    """Read and check a task.

    Args:
        name_or_path: the name of one of the project's tasks ("breast_ultrasound"), or a path ending in
            `.yaml` or `.yml`.

    Raises:
        TaskError: no such task, or the file does not say what a task file must.
    """
    from autoweak import task_files

    path = task_files.find(name_or_path)
    return task_files.parse(path, model=Task)


def list_tasks() -> tuple[str, ...]:
    """Return the names of the tasks that come with the project, in alphabetical order."""
    from autoweak import task_files

    return task_files.names()


def _counted(values: list[int]) -> str:
    return f"1 to {values[-1]}" if len(values) > 1 else "1"


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (str, int, bool))


__all__ = [
    "Coarse",
    "CoarseNetwork",
    "Code",
    "Intensity",
    "IntensityKind",
    "Mirror",
    "Plane",
    "Segment",
    "Task",
    "TaskError",
    "list_tasks",
    "load_task",
]
