"""Write `models/model.pt` of the bundles from the weights files of the project; after either of those has changed.

python scripts/make_bundle_weights.py
"""

from __future__ import annotations

from autoweak.bundle.shipped import BUNDLES, write_weights


def main() -> None:
    """Write both."""
    for bundle in BUNDLES:
        path = write_weights(bundle)
        print(f"wrote {path} ({path.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
