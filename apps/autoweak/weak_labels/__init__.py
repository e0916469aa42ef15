"""Weak labels: making them, judging them, and saying where each came from."""

from __future__ import annotations

from autoweak.weak_labels.calibrate import calibrate
from autoweak.weak_labels.generate import WeakLabel, generate
from autoweak.weak_labels.provenance import (
    CoarseRecord,
    ImageRecord,
    Inputs,
    MaskRecord,
    PromptableRecord,
    Sidecar,
    TaskRecord,
    describe,
    read_sidecar,
    write_sidecar,
)
from autoweak.weak_labels.quality import FEWEST_GOLD, QualityModel
from autoweak.weak_labels.scores import LabelScores, Scores
from autoweak.weak_labels.store import is_current, save_weak_label, was_edited
from autoweak.weak_labels.verdict import Status, Verdict, VerdictRule

__all__ = [
    "FEWEST_GOLD",
    "CoarseRecord",
    "ImageRecord",
    "Inputs",
    "LabelScores",
    "MaskRecord",
    "PromptableRecord",
    "QualityModel",
    "Scores",
    "Sidecar",
    "Status",
    "TaskRecord",
    "Verdict",
    "VerdictRule",
    "WeakLabel",
    "calibrate",
    "describe",
    "generate",
    "is_current",
    "read_sidecar",
    "save_weak_label",
    "was_edited",
    "write_sidecar",
]
