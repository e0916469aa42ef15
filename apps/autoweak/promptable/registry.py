"""The promptable models as data: importing this loads neither torch nor weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from autoweak.errors import CheckpointError

WEIGHTS_FOLDER = Path(__file__).resolve().parent / "weights"


class Resize(str, Enum):
    """How an image is brought to the encoder's square."""

    LONGEST_SIDE = "longest side"
    """Longest side to the encoder's size, zeros to the right and below (SAM)."""
    SQUARE_CUBIC = "square, cubic"
    """Both sides to the encoder's size with third-order splines, shape not kept (MedSAM)."""
    SQUARE_LINEAR = "square, linear"
    """Both sides to the encoder's size, linear with anti-aliasing, shape not kept (small)."""


class Scaling(str, Enum):
    """How grey values become the encoder's input."""

    SAM = "SAM mean and deviation"
    """0..255 less SAM's channel means, divided by SAM's channel deviations."""
    MIN_MAX = "min-max"
    """0..1 over all channels of the image together."""
    STANDARD = "standardised"
    """Mean 0 and deviation 1 over all channels of the image together."""


class Output(str, Enum):
    """What is brought to the image's own size: the order makes a difference at the outline."""

    LOGITS = "logits"
    """Logits are resized; a pixel belongs to the mask above 0."""
    PROBABILITIES = "probabilities"
    """Probabilities are resized; a pixel belongs to the mask above 0.5."""


@dataclass(frozen=True)
class PreprocessingContract:
    """What happens before the encoder and after the decoder; a model is right only with the one it was trained with.

    Attributes:
        name: part of the key of an embedding.
        resize: how the image is brought to the encoder's square.
        scaling: how grey values become the encoder's input.
        output: what is resized to the image's own size.
    """

    name: str
    resize: Resize
    scaling: Scaling
    output: Output


SAM_CONTRACT = PreprocessingContract("sam", Resize.LONGEST_SIDE, Scaling.SAM, Output.LOGITS)
MEDSAM_CONTRACT = PreprocessingContract("medsam", Resize.SQUARE_CUBIC, Scaling.MIN_MAX, Output.PROBABILITIES)
SMALL_CONTRACT = PreprocessingContract("small", Resize.SQUARE_LINEAR, Scaling.STANDARD, Output.LOGITS)


@dataclass(frozen=True)
class ModelEntry:
    """One promptable model.

    Attributes:
        name: what the user asks for.
        architecture: "small", "vit_b", "vit_l" or "vit_h".
        contract: its preprocessing contract.
        summary: one line for lists.
        terms: licence of the weights.
        file: file name of the weights, as published.
        source: where the file can be got, in words; empty for weights that come with the program.
        sha256: checksum of the file where it is fixed.
    """

    name: str
    architecture: str
    contract: PreprocessingContract
    summary: str
    terms: str
    file: str
    source: str = ""
    sha256: str | None = None

    @property
    def bundled(self) -> Path | None:
        """Path of the weights that come with the program, or None for models the user brings."""
        return None if self.source else WEIGHTS_FOLDER / self.file


_SAM_SOURCE = "https://dl.fbaipublicfiles.com/segment_anything/"
_MEDSAM_SOURCE = "the Google Drive folder named in the README of https://github.com/bowang-lab/MedSAM"

_ENTRIES = (
    ModelEntry(
        name="small",
        architecture="small",
        contract=SMALL_CONTRACT,
        summary="3.6 M parameters, 192 x 192, trained on drawn images; comes with the program",
        terms="Apache-2.0",
        file="small.safetensors",
        sha256="1c3190b21769ac98ebda2e68d3287673a0cb862ad66f854891a0d8563108b582",
    ),
    ModelEntry(
        name="medsam",
        architecture="vit_b",
        contract=MEDSAM_CONTRACT,
        summary="MedSAM ViT-B, 1024 x 1024, for boxes",
        terms="Apache-2.0",
        file="medsam_vit_b.pth",
        source=_MEDSAM_SOURCE,
    ),
    ModelEntry(
        name="medsam-points",
        architecture="vit_b",
        contract=MEDSAM_CONTRACT,
        summary="MedSAM ViT-B tuned to points on abdominal CT, 1024 x 1024",
        terms="Apache-2.0",
        file="medsam_point_prompt_flare22.pth",
        source=_MEDSAM_SOURCE,
    ),
    ModelEntry(
        name="sam-vit-b",
        architecture="vit_b",
        contract=SAM_CONTRACT,
        summary="SAM ViT-B, 1024 x 1024, photographs",
        terms="Apache-2.0",
        file="sam_vit_b_01ec64.pth",
        source=_SAM_SOURCE + "sam_vit_b_01ec64.pth",
    ),
    ModelEntry(
        name="sam-vit-l",
        architecture="vit_l",
        contract=SAM_CONTRACT,
        summary="SAM ViT-L, 1024 x 1024, photographs",
        terms="Apache-2.0",
        file="sam_vit_l_0b3195.pth",
        source=_SAM_SOURCE + "sam_vit_l_0b3195.pth",
    ),
    ModelEntry(
        name="sam-vit-h",
        architecture="vit_h",
        contract=SAM_CONTRACT,
        summary="SAM ViT-H, 1024 x 1024, photographs",
        terms="Apache-2.0",
        file="sam_vit_h_4b8939.pth",
        source=_SAM_SOURCE + "sam_vit_h_4b8939.pth",
    ),
)

MODELS: Mapping[str, ModelEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def get_entry(name: str) -> ModelEntry:
    """Return the model called `name`.

    Raises:
        CheckpointError: there is no such model.
    """
    try:
        return MODELS[name]
    except KeyError:
        msg = f"There is no promptable model {name!r}; choose one of {', '.join(MODELS)}."
        raise CheckpointError(msg) from None
