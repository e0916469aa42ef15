"""The sidecar: all that is needed to explain a weak label and to make it again."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
    model_validator,
)

from autoweak import __version__, atomic
from autoweak.errors import LabelError, PromptError
from autoweak.prompts import Prompt, PromptPolicy
from autoweak.weak_labels.generate import WeakLabel
from autoweak.weak_labels.quality import QualityModel
from autoweak.weak_labels.scores import LabelScores, Unit
from autoweak.weak_labels.verdict import Status, Verdict

FORMAT = 1
"""Version of the sidecar's own form."""

# A CT of a thousand slices with some prompts each stays far below; more is no sidecar of ours.
_MOST_BYTES = 32 * 1024 * 1024


def _read_policy(value: Any) -> PromptPolicy:
    if isinstance(value, PromptPolicy):
        return value
    try:
        return PromptPolicy(**value)
    except (PromptError, TypeError) as error:
        raise ValueError(str(error)) from error


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f]+$")]
# A plain name: whoever joins it to a folder must not end up outside of it.
PlainName = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$")
]
Policy = Annotated[PromptPolicy, PlainValidator(_read_policy), PlainSerializer(PromptPolicy.to_dict)]
Positive = Annotated[int, Field(ge=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ImageRecord(_Record):
    """The image: its id, the SHA-256 of its content, its size (S, H, W, C), and whether a generator drew it."""

    id: PlainName
    sha256: Sha256
    size: tuple[Positive, Positive, Positive, Positive]
    synthetic: bool = False


class TaskRecord(_Record):
    """The task: its name and the SHA-256 of its canonical JSON."""

    name: Text
    sha256: Sha256


class CoarseRecord(_Record):
    """The coarse model: its version in the workspace and the SHA-256 of its weights."""

    version: Text
    sha256: Sha256


class PromptableRecord(_Record):
    """The promptable model: its name, the SHA-256 of its weights, its preprocessing contract's name, its precision."""

    name: Text
    sha256: Sha256
    contract: Text
    precision: Text = "float32"


class MaskRecord(_Record):
    """The mask file: its name in the sidecar's folder and the SHA-256 of its bytes."""

    name: PlainName
    sha256: Sha256


class Inputs(_Record):
    """All that a weak label is made of. Equal inputs make equal weak labels."""

    image: ImageRecord
    task: TaskRecord
    coarse: CoarseRecord
    promptable: PromptableRecord
    policy: Policy
    seed: Annotated[int, Field(ge=0)]
    quality_model: QualityModel

    def makes_same_label(self, other: Inputs) -> bool:
        """Whether both make the same weak label; names and version numbers do not matter, contents do."""
        return self._contents() == other._contents()

    def _contents(self) -> tuple[object, ...]:
        return (
            self.image.sha256,
            self.task.sha256,
            self.coarse.sha256,
            self.promptable.sha256,
            self.promptable.contract,
            self.promptable.precision,
            self.policy,
            self.seed,
            self.quality_model,
        )


class Sidecar(_Record):
    """What is written beside a weak label as `<image id>.json`.

    Attributes:
        format: version of this form.
        autoweak: version of the program.
        created: in UTC.
        inputs: what the label was made of.
        prompts: with the threshold at which each was found.
        scores, quality, calibrated, verdict, status, note: as in `WeakLabel`.
        mask: the mask file; None if nothing was found.
        replaces: SHA-256 of the machine-made mask that this one takes the place of. A run that is killed
            after the sidecar and before the mask leaves that one in place, and it must not pass for
            a person's work.
    """

    format: int = FORMAT
    autoweak: Text
    created: AwareDatetime
    inputs: Inputs
    prompts: tuple[Prompt, ...]
    scores: tuple[LabelScores, ...]
    quality: Unit | None
    calibrated: bool
    verdict: Verdict | None
    status: Status
    note: Annotated[str, StringConstraints(max_length=2000)] = ""
    mask: MaskRecord | None
    replaces: Sha256 | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Sidecar:
        labelled = self.status is Status.LABELLED
        if any((value is not None) != labelled for value in (self.mask, self.quality, self.verdict)):
            raise ValueError("a labelled image has a mask, a quality and a verdict, one with nothing found has none")
        return self

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values; that an image is synthetic is only said where it is."""
        content: dict[str, Any] = self.model_dump(mode="json")
        if not self.inputs.image.synthetic:
            del content["inputs"]["image"]["synthetic"]
        return content


def describe(
    weak: WeakLabel,
    *,
    inputs: Inputs,
    mask: MaskRecord | None,
    replaces: str | None = None,
    created: datetime | None = None,
) -> Sidecar:
    """The sidecar of a weak label.

    Args:
        weak: the label.
        inputs: what it was made of.
        mask: its file; None if nothing was found.
        replaces: SHA-256 of the machine-made mask it takes the place of.
        created: None is now.
    """
    return Sidecar(
        autoweak=__version__,
        created=created or datetime.now(timezone.utc).replace(microsecond=0),
        inputs=inputs,
        prompts=weak.prompts,
        scores=weak.scores,
        quality=weak.quality,
        calibrated=weak.calibrated,
        verdict=weak.verdict,
        status=weak.status,
        note=weak.note,
        mask=mask,
        replaces=replaces,
    )


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write a sidecar atomically, as indented JSON."""
    atomic.write_json(path, sidecar.to_dict())


def read_sidecar(path: Path) -> Sidecar:
    """Read a sidecar and check it; it may have been changed by anyone.

    Raises:
        LabelError: it is missing, too large, not JSON, of another format, or holds what it must not.
    """
    content = _read_json(path)
    if not isinstance(content, dict):
        raise LabelError(
            f"The sidecar {path} must hold a JSON object, not {type(content).__name__}: label the image again."
        )
    if content.get("format") != FORMAT:
        raise LabelError(
            f"The sidecar {path} has the format {content.get('format')!r}, and this version of autoweak reads "
            f"format {FORMAT}: label the image again."
        )
    try:
        return Sidecar.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "it"
        raise LabelError(
            f"The sidecar {path} is not valid at {place} ({problem['msg']}): label the image again."
        ) from error


def _read_json(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise LabelError(
                f"The sidecar {path} has {size} bytes, more than any weak label needs: label the image again."
            )
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise LabelError(f"The sidecar {path} cannot be read ({error.strerror}): label the image again.") from error
    except (ValueError, RecursionError) as error:
        raise LabelError(f"The sidecar {path} is not JSON ({error}): label the image again.") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
