"""Networks as bundles define them: `network_def` of a bundle's `configs/inference.json` is its only definition."""

from __future__ import annotations

import json
import pydoc
from collections.abc import Mapping
from typing import Any, cast

from monai.bundle import ConfigParser
from torch import nn

from autoweak.errors import CheckpointError
from autoweak.resources import resource_path

# What a saved model may name as its network: a model file is data, and must not choose code to run.
TRUSTED_PACKAGES = ("autoweak.networks.", "monai.networks.nets.")


def bundle_definition(bundle: str, *, part: str = "network_def", **values: Any) -> dict[str, Any]:
    """The `network_def` of a bundle of this project, with all references resolved to plain values.

    Args:
        bundle: folder name in `bundles/`, e.g. "coarse_segmentation".
        part: the definition, or one inside it, e.g. "network_def::member"; it must hold no others.
        values: top-level entries of its `inference.json` to set first, e.g. `in_channels=3`.

    Raises:
        KeyError: the bundle has no entry of that name.
    """
    config = resource_path("bundles") / bundle / "configs" / "inference.json"
    parser = ConfigParser(json.loads(config.read_text(encoding="utf-8")))
    for name, value in values.items():
        if name not in parser.get():
            msg = f"The bundle {bundle} has no entry {name!r}; it has {', '.join(parser.get())}."
            raise KeyError(msg)
        parser[name] = value
    parser.parse()
    keys = [key for key in parser.get_parsed_content(part, instantiate=False).get_config() if key != "_mode_"]
    return {key: parser.get_parsed_content(f"{part}::{key}", instantiate=False) for key in keys}


def network_from(definition: Mapping[str, Any]) -> nn.Module:
    """Build a network from a definition as `network_definition` gives it, or as a saved model keeps it.

    Raises:
        CheckpointError: the definition names anything but a network of this project or of MONAI, holds an
            expression, or does not fit the class it names.
    """
    target = definition.get("_target_")
    if not isinstance(target, str) or not _is_trusted(target) or not _is_plain(definition):
        msg = (
            f"A model may only name a network of {' or '.join(name.rstrip('.') for name in TRUSTED_PACKAGES)} "
            f"with plain values, got {str(dict(definition))[:200]}; use a model that autoweak has saved."
        )
        raise CheckpointError(msg)
    try:
        network = ConfigParser({"network_def": dict(definition)}).get_parsed_content("network_def")
    except (RuntimeError, ModuleNotFoundError, ValueError, TypeError) as error:
        msg = f"The network {target} cannot be built as the model describes it ({_first_line(error)})."
        raise CheckpointError(msg) from error
    return cast(nn.Module, network)


def _is_trusted(target: str) -> bool:
    if not target.startswith(TRUSTED_PACKAGES):
        return False
    found = pydoc.locate(target)
    # The class's own module counts: a path can lead out of a package through what its modules import.
    return isinstance(found, type) and issubclass(found, nn.Module) and found.__module__.startswith(TRUSTED_PACKAGES)


def _is_plain(definition: Mapping[str, Any]) -> bool:
    values = [value for key, value in definition.items() if key != "_target_"]
    return all(
        isinstance(value, (bool, int, float))
        or (isinstance(value, str) and not value.startswith(("$", "@", "%")))
        or (isinstance(value, list) and all(isinstance(entry, (bool, int, float)) for entry in value))
        for value in values
    ) and not any(key.startswith("_") for key in definition if key != "_target_")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
