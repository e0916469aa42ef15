"""Safe loading of weights: a checkpoint is untrusted input, and nothing in it is ever run."""

from __future__ import annotations

import hashlib
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from autoweak.errors import CheckpointError
from autoweak.promptable.registry import ModelEntry

_CHUNK = 1 << 20
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


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises:
        CheckpointError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        msg = f"The checkpoint {path} cannot be read ({error.strerror}); check the path."
        raise CheckpointError(msg) from error
    return digest.hexdigest()


def check_sha256(path: Path, expected: str | None) -> str:
    """Return the SHA-256 of a checkpoint file, which must be `expected` unless that is None.

    Raises:
        CheckpointError: the file is another one, or cannot be read.
    """
    found = sha256_of(path)
    if expected is not None and found != expected:
        msg = f"The checkpoint {path} has the checksum {found} and not {expected}; install or download it again."
        raise CheckpointError(msg)
    return found


def find_checkpoint(entry: ModelEntry, checkpoint: Path | None) -> Path:
    """Return the path of an entry's weights: `checkpoint`, or the file that comes with the program.

    Raises:
        CheckpointError: there is no such file, or the model needs one and none was given.
    """
    path = checkpoint or entry.bundled
    if path is None:
        msg = (
            f"The model {entry.name!r} needs its weights: get {entry.file} from {entry.source} "
            "and pass it with --checkpoint FILE, or checkpoint=FILE in Python."
        )
        raise CheckpointError(msg)
    if not path.is_file():
        remedy = "check the path" if checkpoint else "install the project again"
        msg = f"There is no checkpoint file {path}; {remedy}."
        raise CheckpointError(msg)
    return path


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


def _read(path: Path) -> Mapping[str, Any]:
    with path.open("rb") as stream:
        head = stream.read(16)
    if not head:
        msg = f"The checkpoint {path} is empty; download it again."
        raise CheckpointError(msg)
    if head.lstrip()[:1] == b"<":
        msg = f"The checkpoint {path} is a web page, not weights; download the file itself, not the page that shows it."
        raise CheckpointError(msg)
    content = _read_safetensors(path) if head[8:9] == b"{" else _read_torch(path, zipped=head.startswith(_ZIP_START))
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


def _read_torch(path: Path, *, zipped: bool) -> Any:
    if zipped and not zipfile.is_zipfile(path):
        msg = f"The checkpoint {path} is cut off ({path.stat().st_size} bytes); download it again."
        raise CheckpointError(msg)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
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
