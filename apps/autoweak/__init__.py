"""autoweak: a few gold labels in, a large, trustworthy labelled data set out."""

from __future__ import annotations

__version__ = "0.1.0"
