"""The errors a user can cause, each carrying one sentence: what was wrong, what was got, what to do."""

from __future__ import annotations


class AutoweakError(Exception):
    """Base of all errors whose message is meant for the user; the command line shows it without a trace."""


class TaskError(AutoweakError):
    """A task file is missing, unreadable or says something it must not."""


class ExperimentError(AutoweakError):
    """An experiment file is missing, unreadable, or asks for what cannot be done with these images."""


class StudiesError(AutoweakError):
    """The studies folder cannot be used as asked."""


class ImageError(AutoweakError):
    """An image cannot be read; a run reports it, passes over the image and goes on."""


class LabelError(AutoweakError):
    """A label cannot be read or does not fit its image."""


class CheckpointError(AutoweakError):
    """Model weights are missing, damaged, unsafe or of another architecture."""


class PromptError(AutoweakError):
    """A prompt or a prompt policy is not valid."""


class WorkspaceError(AutoweakError):
    """The workspace lacks what was asked for, or another process is using it."""
