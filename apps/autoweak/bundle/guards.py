"""Where MONAI would go on in silence or end in a trace: one sentence and a non-zero exit code."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoweak.bundle.calls import one_sentence, running_config
from autoweak.bundle.reading import read_config, task_of
from autoweak.errors import AutoweakError, CheckpointError, StudiesError, TaskError
from autoweak.networks.strict import check_fits

# What MONAI itself adds to a config: its metadata, and what experiment tracking wants.
_MONAI_KEYS = {
    "_meta_",
    "_requires_",
    "experiment_name",
    "tracking_uri",
    "run_name",
    "save_execute_config",
    "is_not_rank0",
}


@one_sentence
def check(bundle_root: str) -> None:
    """Stop where an override names no entry of the bundle's configs, or task and network differ in channels or labels.

    MONAI takes a misspelt override as a new entry, and runs as if it had not been given.
    """
    _check_names(Path(bundle_root))
    running = running_config()
    own = read_config(bundle_root)
    # An override of the command line counts; an expression such as that of `train.json` only says where to look.
    own.update({key: value for key, value in running.items() if key in own and not _is_expression(value)})
    task = task_of(own["task"])
    for name, number in (("in_channels", task.channels), ("out_channels", task.num_labels)):
        if own.get(name, number) != number:
            msg = (
                f"The entry {name!r} is {own[name]!r} and task {task.name} needs {number}; make them agree in "
                "configs/inference.json, and train again if the weights are of another number."
            )
            raise TaskError(msg)


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def _check_names(bundle_root: Path) -> None:
    known = set(_MONAI_KEYS)
    for path in sorted((bundle_root / "configs").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        known |= {key.lstrip("+").replace("#", "::").split("::")[0] for key in content}
    unknown = sorted(set(running_config()) - known)
    if unknown:
        import difflib

        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see the entries of configs/*.json."
        msg = f"The config has no entry {unknown[0]!r}, so giving it would change nothing; {hint}"
        raise TaskError(msg)


@one_sentence
def load_weights(network: nn.Module, path: str) -> None:
    """Load a state dict that fits the network exactly.

    Stops the program where the file is missing, no plain state dict, or of another network.
    """
    _load_whole(network, read_weights(Path(path)), path)


@one_sentence
def start_from(network: nn.Module, path: str) -> None:
    """Begin a training with the weights in a file; those of one channel or one label are shared out over several.

    Stops the program where the file is missing, no plain state dict, or of another network.
    """
    from autoweak.training.start import fitted

    found = read_weights(Path(path))
    wanted = network.state_dict()
    shared = {name: fitted(value, wanted[name].shape) if name in wanted else value for name, value in found.items()}
    _load_whole(network, {name: found[name] if value is None else value for name, value in shared.items()}, path)


def _load_whole(network: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    bare = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    try:
        check_fits(bare.state_dict(), state)
        bare.load_state_dict(state)
    except CheckpointError as error:
        msg = f"{path} cannot be used. {error}"
        raise CheckpointError(msg) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a plain state dict, of MONAI's form or with one level "model" around it.

    Raises:
        CheckpointError: the file is missing, damaged, or holds anything but tensors.
    """
    if not path.is_file():
        msg = f"There are no weights {path}; train the bundle first, or give the file with --ckpt_path FILE."
        raise CheckpointError(msg)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        msg = f"The weights {path} are damaged, or hold more than weights and are refused ({type(error).__name__})."
        raise CheckpointError(msg) from error
    state = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        msg = f"{path} is not a plain state dict; save `network.state_dict()` with torch.save."
        raise CheckpointError(msg)
    return dict(state)


@one_sentence
def check_pairs(*lists: Iterable[Mapping[str, Any]]) -> None:
    """Stop where a data list for training or evaluation is empty, or an entry lacks image, label or their files."""
    for listed in lists:
        entries = list(listed)
        if not entries:
            msg = "A data list is empty; give images with labels in dataset_dir, or more of them to divide."
            raise StudiesError(msg)
        for number, entry in enumerate(entries):
            for part in ("image", "label"):
                if not entry.get(part):
                    msg = f"Entry {number} of a data list has no {part}; every image needs one image and one label."
                    raise StudiesError(msg)
                if not Path(str(entry[part])).exists():
                    msg = f"Entry {number} of a data list names the {part} {entry[part]}, which does not exist."
                    raise StudiesError(msg)


@one_sentence
def run(engine: Any) -> None:
    """Run a MONAI engine; an image or label that cannot be used stops the program with its sentence."""
    from autoweak.promptable.hardware import limit_threads

    limit_threads()
    try:
        engine.run()
    except RuntimeError as error:
        told = _told(error)
        if told is None:
            raise
        raise told from error


def _told(error: BaseException | None) -> AutoweakError | None:
    """The user's mistake that MONAI has wrapped, if it is one."""
    while error is not None:
        if isinstance(error, AutoweakError):
            return error
        error = error.__cause__ or error.__context__
    return None
