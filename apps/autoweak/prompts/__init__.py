"""Prompts: from the coarse model's probability map to boxes and points for the promptable model."""

from __future__ import annotations

from autoweak.prompts.make import check_map, make_prompts
from autoweak.prompts.named import POLICIES, get_policy
from autoweak.prompts.policy import PromptPolicy
from autoweak.prompts.prompt import Box, Keep, Point, Positive, Prompt, PromptKind

__all__ = [
    "POLICIES",
    "Box",
    "Keep",
    "Point",
    "Positive",
    "Prompt",
    "PromptKind",
    "PromptPolicy",
    "check_map",
    "get_policy",
    "make_prompts",
]
