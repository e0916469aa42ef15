"""Networks of our own that a bundle's `network_def` may name; each is one module, image in, logits out."""

from __future__ import annotations
