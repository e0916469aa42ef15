"""What the machine offers a promptable model: device, precision and threads."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path

import torch

from autoweak.errors import PromptError

AUTO = "auto"
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Precision(str, Enum):
    """Of the matrix products of a large image encoder; small models always compute in float32."""

    AUTO = "auto"
    """bfloat16 where the processor multiplies in it, else float32."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def choose_device(device: str | torch.device = AUTO) -> torch.device:
    """Return a device: "auto" is the GPU where there is one, else the CPU.

    Raises:
        PromptError: torch knows no such device, or this machine has none.
    """
    if device == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        msg = f"There is no device {device!r}; choose auto, cpu or cuda."
        raise PromptError(msg) from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        msg = f"The device {device!r} was asked for, but torch finds no GPU here; choose auto or cpu."
        raise PromptError(msg)
    return chosen


def choose_dtype(precision: str | Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products for a precision on a device.

    Raises:
        PromptError: there is no such precision.
    """
    try:
        wanted = Precision(precision)
    except ValueError:
        names = ", ".join(each.value for each in Precision)
        msg = f"There is no precision {precision!r}; choose one of {names}."
        raise PromptError(msg) from None
    if wanted is Precision.AUTO:
        wanted = Precision.BFLOAT16 if _multiplies_bfloat16(device) else Precision.FLOAT32
    return torch.bfloat16 if wanted is Precision.BFLOAT16 else torch.float32


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 pays: without instructions for it a processor is slower with it than without."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch's own probes, whose names differ between its versions; one that is missing says no.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in probes)


def limit_threads() -> int:
    """Let torch use as many threads as this process has processors, and return that number.

    In a container torch counts the processors of the whole machine, not those it was given; too many threads then wait
    for one another. A number set by the user (OMP_NUM_THREADS, or torch.set_num_threads below ours) is left alone.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    available = min(available, _quota(_CGROUP_QUOTA) or available)
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > available:
        torch.set_num_threads(available)
    return torch.get_num_threads()


def _quota(path: Path) -> int | None:
    """Processors that a Linux control group (version 2) grants, rounded down, at least 1; None without a limit."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
