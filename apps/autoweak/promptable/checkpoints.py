"""Safe loading of weights: a checkpoint is untrusted input, and nothing in it is ever run."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from autoweak.errors import CheckpointError
from autoweak.promptable import store
from autoweak.promptable.checksums import is_published, sha256_of
from autoweak.promptable.registry import ModelEntry, entries_of, get_entry

_SMALL_MARK = "image_encoder.stem.weight"
_VIT_MARK = "image_encoder.patch_embed.proj.weight"
_VIT_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_ZIP_START = b"PK\x03\x04"
_WRAPPERS = ("model", "state_dict", "model_state_dict")
_PREFIX = "module."
_DAMAGE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ArithmeticError,
    AssertionError,
    struct.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class Chosen:
    """Weights to load: the model they are of, where they lie, and their SHA-256."""

    entry: ModelEntry
    path: Path
    sha256: str


def choose_checkpoint(name: str | None, checkpoint: Path | None) -> Chosen:
    """Decide which weights to load.

    Args:
        name: of the model; without it, that of `checkpoint`, or "small".
        checkpoint: the file; without it, the one that comes with the program or that of the store, whose checksum
            must be the known one.

    Raises:
        CheckpointError: no such model or file, another file than it should be, or one that could be of several models.
    """
    entry = None if name is None else get_entry(name)
    if checkpoint is None:
        entry = entry or get_entry("small")
        return Chosen(entry, find_checkpoint(entry, None), store.checked_sha256(entry))
    if not checkpoint.is_file():
        msg = f"There is no checkpoint file {checkpoint}; check the path."
        raise CheckpointError(msg)
    sha256 = sha256_of(checkpoint)
    return Chosen(entry or identify(checkpoint, sha256=sha256), checkpoint, sha256)


def find_checkpoint(entry: ModelEntry, checkpoint: Path | None) -> Path:
    """Return the path of an entry's weights: `checkpoint`, the file that comes with the program, or that of the store.

    Raises:
        CheckpointError: there is no such file, or the model needs one and none was given.
    """
    path = checkpoint or store.path_of(entry)
    if path.is_file():
        return path
    if checkpoint is not None or entry.bundled is not None:
        remedy = "check the path" if checkpoint else "install the project again"
        msg = f"There is no checkpoint file {path}; {remedy}."
        raise CheckpointError(msg)
    fetch = "" if entry.url is None else f"run `autoweak models fetch {entry.name}`, or "
    msg = (
        f"The model {entry.name!r} needs its weights: {fetch}{store.how_to_get(entry)}, "
        "or pass a file with --checkpoint FILE, or checkpoint=FILE in Python."
    )
    raise CheckpointError(msg)


def identify(path: Path, *, sha256: str) -> ModelEntry:
    """Find out which model a checkpoint with this SHA-256 is of.

    The tensors tell the architecture. Models of one architecture differ in what they expect of an image, which no
    tensor tells: there the checksum must be that of a published file.

    Raises:
        CheckpointError: the file is no safe checkpoint, of no known architecture, or could be of several models.
    """
    architecture = recognise(_read(path, map_only=True), path=path)
    entries = entries_of(architecture)
    if len(entries) == 1:
        return entries[0]
    for entry in entries:
        if is_published(entry, path, sha256=sha256):
            return entry
    names = ", ".join(entry.name for entry in entries)
    msg = (
        f"The checkpoint {path} is of the architecture {architecture}, but its checksum is of no published file, so it "
        f"could be of any of {names}, which prepare images differently; name the model as well, with --promptable NAME "
        "or `autoweak models import NAME FILE`."
    )
    raise CheckpointError(msg)


def recognise(content: Mapping[str, Any], *, path: Path) -> str:
    """Return the architecture of a checkpoint's content, as the registry names it, from names and shapes of tensors.

    Args:
        content: a state dict or a training checkpoint, with or without the prefix "module.".
        path: of the file, for messages.

    Raises:
        CheckpointError: it is not a state dict, or of no known architecture.
    """
    state = _unwrapped(content, path)
    if _SMALL_MARK in state:
        return "small"
    mark = state.get(_VIT_MARK)
    architecture = None if mark is None or mark.ndim == 0 else _VIT_WIDTHS.get(mark.shape[0])
    if architecture is None:
        known = ", ".join(["small", *_VIT_WIDTHS.values()])
        msg = f"The checkpoint {path} is of no known architecture ({known}); pass weights of SAM, MedSAM or our own."
        raise CheckpointError(msg)
    return architecture


def check_fits(path: Path, *, entry: ModelEntry) -> None:
    """Check that a file can be loaded as a model, by names and shapes alone.

    Raises:
        CheckpointError: the file is not a checkpoint, is cut off, would run code, or is of another architecture.
    """
    # Here, because the networks' module needs this one.
    from autoweak.promptable.model import build_network

    state = _unwrapped(_read(path, map_only=True), path)
    _check_architecture(build_network(entry.architecture).state_dict(), state, path=path, entry=entry)


def load_weights(model: nn.Module, path: Path, *, entry: ModelEntry) -> None:
    """Give `model` the weights of a checkpoint, in float32.

    safetensors and PyTorch files are recognised by content. Of a training checkpoint only the model's weights are
    taken, and the prefix "module." that training on several GPUs leaves is removed.

    Args:
        model: the architecture, on the meta device or with any weights.
        path: the file.
        entry: the model it should be, for messages.

    Raises:
        CheckpointError: the file is not a checkpoint, is cut off, would run code, or is of another architecture.
    """
    state = _unwrapped(_read(path), path)
    _check_architecture(model.state_dict(), state, path=path, entry=entry)
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)


def _read(path: Path, *, map_only: bool = False) -> Mapping[str, Any]:
    """The content of a checkpoint file; with `map_only`, tensors are not read from disk until they are used."""
    with path.open("rb") as stream:
        head = stream.read(16)
    if not head:
        msg = f"The checkpoint {path} is empty; download it again."
        raise CheckpointError(msg)
    if head.lstrip()[:1] == b"<":
        msg = f"The checkpoint {path} is a web page, not weights; download the file itself, not the page that shows it."
        raise CheckpointError(msg)
    zipped = head.startswith(_ZIP_START)
    content = _read_safetensors(path) if head[8:9] == b"{" else _read_torch(path, zipped=zipped, map_only=map_only)
    if not isinstance(content, Mapping):
        msg = f"The checkpoint {path} holds a {type(content).__name__}, not a table of weights; pass a state dict."
        raise CheckpointError(msg)
    return content


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        msg = f"The checkpoint {path} is a damaged safetensors file ({error}); download it again."
        raise CheckpointError(msg) from error
    return content


def _read_torch(path: Path, *, zipped: bool, map_only: bool) -> Any:
    if zipped and not zipfile.is_zipfile(path):
        msg = f"The checkpoint {path} is cut off ({path.stat().st_size} bytes); download it again."
        raise CheckpointError(msg)
    try:
        # Only the newer of PyTorch's two formats can be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=map_only and zipped)
    except pickle.UnpicklingError as error:
        msg = (
            f"The checkpoint {path} is refused, because it is no PyTorch file or holds more than weights and would "
            "run code on loading; save the state dict alone, or as safetensors."
        )
        raise CheckpointError(msg) from error
    # What torch raises for a damaged file depends on where the damage lies; none of it is more than that.
    except _DAMAGE as error:
        msg = f"The checkpoint {path} is damaged or no PyTorch file ({type(error).__name__}); download it again."
        raise CheckpointError(msg) from error


def _unwrapped(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        inner = content.get(key)
        if isinstance(inner, Mapping):
            content = inner
            break
    state = {str(name).removeprefix(_PREFIX): value for name, value in content.items()}
    strange = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if strange or not state:
        what = f"{strange[0]!r} is not a tensor" if strange else "it has no tensors"
        msg = f"The checkpoint {path} is not a state dict ({what}); pass one with the weights of a SAM model."
        raise CheckpointError(msg)
    return state


def _check_architecture(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], *, path: Path, entry: ModelEntry
) -> None:
    missing = sorted(wanted.keys() - found.keys())
    extra = sorted(found.keys() - wanted.keys())
    other = sorted(name for name in wanted.keys() & found.keys() if wanted[name].shape != found[name].shape)
    if not (missing or extra or other):
        return
    if missing:
        why = f"{len(missing)} of its {len(wanted)} weights are missing, the first {missing[0]!r}"
    elif other:
        name = other[0]
        why = f"{name!r} has shape {tuple(found[name].shape)} and not {tuple(wanted[name].shape)}"
    else:
        why = f"{len(extra)} weights are unknown, the first {extra[0]!r}"
    msg = f"The checkpoint {path} is not of {entry.name!r} ({entry.architecture}): {why}; pass the file of that model."
    raise CheckpointError(msg)
