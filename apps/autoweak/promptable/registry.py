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
        url: address that gives the file itself; None where there is only a web page or a shared folder.
        bytes: size of the published file; None where it is not known.
        sha256: checksum of the published file, where it is known.
        md5: the same, where the publisher gives only this one.
    """

    name: str
    architecture: str
    contract: PreprocessingContract
    summary: str
    terms: str
    file: str
    source: str = ""
    url: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def bundled(self) -> Path | None:
        """Path of the weights that come with the program, or None for models the user brings."""
        return None if self.source else WEIGHTS_FOLDER / self.file

    @property
    def checksum(self) -> str | None:
        """Checksum of the published file with its algorithm, "sha256:..." or "md5:...", where it is known."""
        if self.sha256 is not None:
            return f"sha256:{self.sha256}"
        return None if self.md5 is None else f"md5:{self.md5}"


_SAM_SOURCE = "the list of checkpoints in the README of https://github.com/facebookresearch/segment-anything"
_SAM_ADDRESS = "https://dl.fbaipublicfiles.com/segment_anything/"

_ENTRIES = (
    ModelEntry(
        name="small",
        architecture="small",
        contract=SMALL_CONTRACT,
        summary="4.3 M parameters, 256 x 256, trained on drawn images; comes with the program",
        terms="Apache-2.0",
        file="small.safetensors",
        sha256="2b5d30055ed5fc4d6671448dd28af55c8793c5bc0a6da3571e4e7494ff6c547c",
    ),
    ModelEntry(
        name="medsam",
        architecture="vit_b",
        contract=MEDSAM_CONTRACT,
        summary="MedSAM ViT-B, 1024 x 1024, for boxes",
        terms="CC BY 4.0 (Zenodo), Apache-2.0 (the project's repository)",
        file="medsam_vit_b.pth",
        source="the Zenodo record https://zenodo.org/records/10689643",
        url="https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
        bytes=375_049_145,
        md5="3bb6db55bd0c9ca30b61248bca72f8d6",
    ),
    ModelEntry(
        name="medsam-points",
        architecture="vit_b",
        contract=MEDSAM_CONTRACT,
        summary="MedSAM ViT-B tuned to points on abdominal CT, 1024 x 1024",
        terms="Apache-2.0 (the project's repository)",
        file="medsam_point_prompt_flare22.pth",
        source="the Google Drive folder named in the README of https://github.com/bowang-lab/MedSAM",
    ),
    ModelEntry(
        name="sam-vit-b",
        architecture="vit_b",
        contract=SAM_CONTRACT,
        summary="SAM ViT-B, 1024 x 1024, photographs",
        terms="Apache-2.0",
        file="sam_vit_b_01ec64.pth",
        source=_SAM_SOURCE,
        url=_SAM_ADDRESS + "sam_vit_b_01ec64.pth",
        bytes=375_042_383,
        sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    ModelEntry(
        name="sam-vit-l",
        architecture="vit_l",
        contract=SAM_CONTRACT,
        summary="SAM ViT-L, 1024 x 1024, photographs",
        terms="Apache-2.0",
        file="sam_vit_l_0b3195.pth",
        source=_SAM_SOURCE,
        url=_SAM_ADDRESS + "sam_vit_l_0b3195.pth",
        bytes=1_249_524_607,
        sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    ModelEntry(
        name="sam-vit-h",
        architecture="vit_h",
        contract=SAM_CONTRACT,
        summary="SAM ViT-H, 1024 x 1024, photographs",
        terms="Apache-2.0",
        file="sam_vit_h_4b8939.pth",
        source=_SAM_SOURCE,
        url=_SAM_ADDRESS + "sam_vit_h_4b8939.pth",
        bytes=2_564_550_879,
        sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
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


def entries_of(architecture: str) -> tuple[ModelEntry, ...]:
    """Return the models of an architecture; with more than one, its tensors alone do not tell which it is."""
    return tuple(entry for entry in MODELS.values() if entry.architecture == architecture)
