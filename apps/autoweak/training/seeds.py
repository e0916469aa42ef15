"""Seeds that depend on their names alone, so that a resumed training draws what an undisturbed one would."""

from __future__ import annotations

import hashlib


def derive_seed(*names: object) -> int:
    """A seed from 0 to 2³² − 1, fixed by the texts of `names` (for example seed, fold and epoch)."""
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4], "big")
