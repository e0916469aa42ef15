"""What MONAI Label loads: the app, and nothing else."""

from autoweak.server.app import AutoweakApp

__all__ = ["AutoweakApp"]
