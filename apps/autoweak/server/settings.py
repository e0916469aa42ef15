"""The app's settings: `--conf KEY VALUE` of MONAI Label, checked when the server starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autoweak.errors import AutoweakError

# MONAI Label's own key, which is for the app base class.
_FOREIGN = {"server_mode"}


class SettingsError(AutoweakError):
    """A setting is unknown or has a value it must not have."""


class Settings(BaseModel):
    """What `--conf` may set. MONAI Label hands every value over as text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str | None = Field(None, description="name of a task or path of a .yaml file; known studies remember theirs")
    promptable: str | None = Field(None, description="promptable model instead of the task's, e.g. small or medsam")
    checkpoint: Path | None = Field(None, description="weights of that model (.pth or .safetensors)")
    device: str = Field("auto", description="where the promptable model runs: auto, cpu or cuda")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of SAM's and MedSAM's encoders: auto, float32 or bfloat16"
    )
    policy: str | None = Field(None, description="prompt policy instead of the task's, e.g. s1_box_published")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of everything random")
    lease_minutes: Annotated[float, Field(gt=0, le=10080)] = Field(
        30.0, description="how long an image that one client was given is kept from the others"
    )
    max_upload_mb: Annotated[int, Field(ge=1, le=65536)] = Field(1024, description="largest upload in megabytes")
    modality: str = Field("", description="of a DICOMweb server only series of these modalities, e.g. MR or CT,MR")
    send_weak_labels: bool = Field(
        False, description="send each weak label to the DICOMweb server as DICOM SEG, marked AUTOMATIC"
    )


def parse_settings(conf: Mapping[str, Any] | None) -> Settings:
    """Check the settings of `--conf`.

    Raises:
        SettingsError: a key is unknown (the known ones are listed) or a value is wrong.
    """
    given = {key: value for key, value in (conf or {}).items() if key not in _FOREIGN}
    unknown = sorted(set(given) - set(Settings.model_fields))
    if unknown:
        raise SettingsError(f"There is no setting {unknown[0]!r}; use --conf with one of {_known()}.")
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise SettingsError(
            f"The setting {key} cannot be {str(problem['input'])[:80]!r} ({problem['msg']}); "
            f"it is: {Settings.model_fields[key].description}."
        ) from None


def _known() -> str:
    return "; ".join(f"{name} ({field.description})" for name, field in Settings.model_fields.items())
