"""Reading a bundle's own files: its task and its network, each defined once, in `configs/inference.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from autoweak.errors import CheckpointError, TaskError
from autoweak.tasks import Task, load_task

CONFIG = Path("configs", "inference.json")


def task_of(task: Mapping[str, Any] | str | Task) -> Task:
    """The task that a config names or writes out.

    Args:
        task: the content of a task file, or the name or path of one.

    Raises:
        TaskError: it is not a valid task.
    """
    if isinstance(task, Task):
        return task
    if isinstance(task, str):
        return load_task(task)
    try:
        return Task.model_validate(json.loads(json.dumps(task)))
    except (ValidationError, TypeError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(str(part) for part in first["loc"])
        msg = f"The entry 'task' of the bundle's config is not a task ({where}: {first['msg']}); see configs/*.yaml."
        raise TaskError(msg) from error


def own_task(bundle_root: str) -> dict[str, Any]:
    """The entry `task` of a bundle's `inference.json`, for its other configs.

    Raises:
        CheckpointError: the bundle has no such config.
    """
    return dict(read_config(bundle_root)["task"])


def network_of(bundle_root: str) -> nn.Module:
    """Build the network that a bundle's `inference.json` defines, with random weights.

    Raises:
        CheckpointError: the bundle has no such config.
    """
    from monai.bundle import ConfigParser

    network: nn.Module = ConfigParser(read_config(bundle_root)).get_parsed_content("network_def")
    return network


def read_config(bundle_root: str) -> dict[str, Any]:
    """The content of a bundle's `configs/inference.json`.

    Raises:
        CheckpointError: there is none, or it is no JSON.
    """
    path = Path(bundle_root) / CONFIG
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"There is no readable {CONFIG} in {Path(bundle_root).resolve()}; give the bundle with --bundle_root DIR."
        raise CheckpointError(msg) from error
    return content
