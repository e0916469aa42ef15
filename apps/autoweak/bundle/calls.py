"""What MONAI gives the expressions of a config no access to: the config they stand in, and where it lies."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from monai.bundle import ConfigParser, ConfigWorkflow

from autoweak.errors import AutoweakError

_Function = TypeVar("_Function", bound=Callable[..., Any])


def root() -> str:
    """The bundle that the running workflow's config lies in, so that it runs from any working folder.

    The configs ask for it as they are initialised, since later a part may be asked for from outside the workflow.

    Returns:
        the folder above `configs`; "." where no workflow is running, as when a part of a config is parsed alone.
    """
    for owner in _callers():
        if isinstance(owner, ConfigWorkflow):
            folder = Path(owner.config_root_path)
            return str(folder.parent if folder.name == "configs" else folder)
    return "."


def running_config() -> dict[str, Any]:
    """The whole config, overrides included, that the calling expression stands in; empty where there is none."""
    for owner in _callers():
        if isinstance(owner, ConfigParser):
            return dict(owner.get())
    return {}


def one_sentence(function: _Function) -> _Function:
    """Let a user's mistake end the program with its sentence on stderr and exit code 1.

    MONAI wraps every other exception of an expression in one of its own, and the sentence is lost in the traces.
    """

    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except AutoweakError as error:
            raise SystemExit(f"autoweak: {error}") from None

    return told  # type: ignore[return-value]


def _callers() -> Iterator[Any]:
    """The objects whose methods are running, the nearest first."""
    frame = inspect.currentframe()
    while frame is not None:
        if "self" in frame.f_locals:
            yield frame.f_locals["self"]
        frame = frame.f_back
