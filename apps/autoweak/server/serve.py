"""`autoweak serve`: MONAI Label's server with this app and safe defaults."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autoweak.atomic import write_text
from autoweak.errors import StudiesError
from autoweak.server.live import Live
from autoweak.server.settings import parse_settings
from autoweak.server.start import studies_root

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MAIN = 'from autoweak.server.app import AutoweakApp\n\n__all__ = ["AutoweakApp"]\n'
_PROXY = (
    "To let others in, leave it at 127.0.0.1 and put a proxy with TLS and a login before it, for instance nginx: "
    "`listen 443 ssl; auth_basic ...; proxy_pass http://127.0.0.1:{port}; client_max_body_size {upload}m; "
    "proxy_read_timeout 600s;`"
)


@dataclass(frozen=True)
class ServePlan:
    """What is started, and what is said of it before.

    Attributes:
        command: the process.
        environment: of the process.
        notice: for the person who starts it.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    notice: str


def plan(studies: Path | str, conf: Mapping[str, str], *, host: str, port: int) -> ServePlan:
    """Check everything that can be checked, and say what to start.

    Args:
        studies: a folder, or the address of a DICOMweb server.
        conf: the app's settings, as `--conf` has them.
        host: address to listen at.
        port: TCP port.

    Raises:
        AutoweakError: studies or settings cannot be used.
    """
    settings = parse_settings(conf)
    live = Live(studies_root(str(studies)), settings)
    if not 1 <= port <= 65535:
        raise StudiesError(f"The port must be from 1 to 65535, got {port}.")
    # Logs and the like go into the workspace; MONAI Label would write them beside the program.
    app = live.workspace.root / "app"
    live.workspace.remember_task(live.task.model_dump(mode="json"))
    write_text(app / "main.py", _MAIN)
    given = [word for key, value in conf.items() for word in ("--conf", key, value)]
    main = (sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies))
    environment = {**os.environ, "PYTHONPATH": _python_path()}
    notice = _notice(host, port, settings.max_upload_mb)
    return ServePlan((*main, *given, "-i", host, "-p", str(port)), environment, notice)


def _notice(host: str, port: int, upload: int) -> str:
    address = f"http://{host}:{port}"
    proxy = _PROXY.format(port=port, upload=upload)
    if host in LOOPBACK:
        return (
            f"Serving at {address}, for this machine alone. Nothing else protects it: there is no login and no "
            f"encryption, and every user of this machine can read the images and save labels. {proxy}"
        )
    return (
        f"WARNING: serving at {address}, which other machines can reach. There is no login and no encryption: whoever "
        f"reaches the port can read the images and save labels. {proxy}"
    )


def _python_path() -> str:
    """The package itself must be found by the processes that train, from wherever it was started."""
    package = str(Path(__file__).resolve().parents[2])
    known = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return os.pathsep.join(dict.fromkeys([*known, package]))
