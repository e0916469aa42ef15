"""The folder of weights that the user brought: fetched or imported once, with their checksums beside them.

Importing this loads neither torch nor pooch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from autoweak.atomic import atomic_path, remove_partials, write_json
from autoweak.errors import CheckpointError
from autoweak.progress import NoProgress, Progress
from autoweak.promptable import registry
from autoweak.promptable.checksums import is_published, sha256_of
from autoweak.promptable.download import DownloadError, ResumingDownloader
from autoweak.promptable.registry import ModelEntry, get_entry

SETTING = "AUTOWEAK_MODELS"
"""Environment variable that names the folder."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Record:
    """What is known of a file of the store, kept as JSON beside it.

    Attributes:
        name: of the model.
        sha256: of the file when it came.
        bytes: its size.
        imported: when it came, UTC, ISO 8601.
        origin: file name it had elsewhere, without folders.
        published: whether it is the published file; None where no checksum of that is known.
    """

    name: str
    sha256: str
    bytes: int
    imported: str
    origin: str
    published: bool | None


@dataclass(frozen=True)
class Stored:
    """A model whose weights are on this machine.

    Attributes:
        entry: the model.
        path: of its weights.
        sha256: of them.
        fresh: whether they came just now.
        published: whether they are the published file; None where no checksum of that is known.
    """

    entry: ModelEntry
    path: Path
    sha256: str
    fresh: bool
    published: bool | None


@dataclass(frozen=True)
class Listed:
    """A model of the registry and what of it is on this machine: `path` and `bytes` of the weights, or None."""

    entry: ModelEntry
    path: Path | None
    bytes: int | None


@dataclass(frozen=True)
class Verified:
    """Weights that were checked; in order when there are no problems."""

    entry: ModelEntry
    path: Path
    problems: tuple[str, ...]


def folder() -> Path:
    """The folder of weights: the setting AUTOWEAK_MODELS, else `autoweak/models` in the user's cache folder."""
    named = os.environ.get(SETTING)
    if named:
        return Path(named).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("autoweak")) / "models"


def path_of(entry: ModelEntry) -> Path:
    """Where the weights of a model lie, or would lie."""
    return entry.bundled or folder() / entry.file


def read_record(path: Path) -> Record | None:
    """What is recorded beside weights of the store; None when there is nothing, or nothing that can be used."""
    try:
        content = json.loads(_record_path(path).read_text(encoding="utf-8"))
        return Record(**content) if isinstance(content["sha256"], str) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def how_to_get(entry: ModelEntry) -> str:
    """How a person without a network gets the weights of a model, as a part of a sentence."""
    where = entry.url or entry.source
    return (
        f"get {entry.file} from {where}, on another computer if need be, "
        f"and run `autoweak models import {entry.name} FILE`, which puts it into {folder()}"
    )


def list_models() -> tuple[Listed, ...]:
    """All models of the registry, in its order."""
    found = []
    for entry in registry.MODELS.values():
        path = path_of(entry)
        present = path.is_file()
        found.append(Listed(entry, path if present else None, path.stat().st_size if present else entry.bytes))
    return tuple(found)


def checked_sha256(entry: ModelEntry) -> str:
    """Return the SHA-256 of a model's weights, which must be the recorded one, or the published file's.

    Raises:
        CheckpointError: the file cannot be read, is another one, or nothing is known that it could be compared with.
    """
    path = path_of(entry)
    sha256 = sha256_of(path)
    problem = _checksum_problem(entry, path, sha256)
    if problem is not None:
        raise CheckpointError(problem)
    return sha256


def fetch(name: str, *, progress: Progress | None = None) -> Stored:
    """Download the weights of a model into the store, going on where an earlier download ended.

    Args:
        name: of the model; nothing happens when its weights are there and in order.
        progress: follows the download in megabytes.

    Raises:
        CheckpointError: no such model, no address, no connection, or not the published file; the message says how to
            get it by hand.
    """
    entry = get_entry(name)
    path = path_of(entry)
    if entry.bundled is not None:
        return Stored(entry, path, checked_sha256(entry), fresh=False, published=True)
    if entry.url is None:
        msg = f"There is no address to fetch the weights of {name!r} from: {how_to_get(entry)}."
        raise CheckpointError(msg)
    with _lock(entry):
        downloader = _downloader(entry, progress or NoProgress())
        sha256 = sha256_of(path) if path.is_file() else None
        fresh = sha256 is None or not is_published(entry, path, sha256=sha256)
        record = read_record(path)
        if sha256 is not None and fresh and not (record is not None and record.published):
            msg = f"{path} holds other weights, which you brought: move it away to fetch those published as {name!r}."
            raise CheckpointError(msg)
        if fresh:
            downloader.progress.stage(f"fetch {name}")
            _retrieve(entry, entry.url, path, downloader)
            sha256 = entry.sha256 or sha256_of(path)
        if fresh or record is None or record.sha256 != sha256:
            _write_record(entry, path, sha256=str(sha256), origin=entry.file, published=True)
        downloader.discard()
    return Stored(entry, path, str(sha256), fresh=fresh, published=True)


def import_file(path: Path, *, name: str | None = None) -> Stored:
    """Copy weights that the user got elsewhere into the store, after checking them.

    Args:
        path: the file; safetensors or PyTorch, a state dict or a training checkpoint.
        name: of the model; without it, the model is recognised from tensors and checksum.

    Raises:
        CheckpointError: no such file or model; a file that is damaged, would run code, or is of another architecture;
            or one that could be of several models.
    """
    if not path.is_file():
        msg = f"There is no file {path}; check the path."
        raise CheckpointError(msg)
    from autoweak.promptable.checkpoints import check_fits, identify

    sha256 = sha256_of(path)
    entry = identify(path, sha256=sha256) if name is None else get_entry(name)
    if entry.bundled is not None:
        msg = f"The model {entry.name!r} comes with the program; pass other weights of it with --checkpoint FILE."
        raise CheckpointError(msg)
    check_fits(path, entry=entry)
    published = _published_as(entry, path, sha256)
    target = path_of(entry)
    with _lock(entry):
        remove_partials(target.parent, of=target.name)
        if not (target.exists() and target.samefile(path)):
            _copy(path, target, sha256=sha256)
        _write_record(entry, target, sha256=sha256, origin=path.name, published=published)
        _downloader(entry, NoProgress()).discard()
    return Stored(entry, target, sha256, fresh=True, published=published)


def verify(name: str | None = None) -> tuple[Verified, ...]:
    """Compare weights with their checksums and with the architecture they should be of.

    Args:
        name: of one model; without it, all whose weights are on this machine.

    Raises:
        CheckpointError: no such model, or its weights are not here.
    """
    from autoweak.promptable.checkpoints import find_checkpoint

    if name is not None:
        find_checkpoint(get_entry(name), None)
    chosen = registry.MODELS.values() if name is None else [get_entry(name)]
    return tuple(_verify(entry) for entry in chosen if path_of(entry).is_file())


def _verify(entry: ModelEntry) -> Verified:
    from autoweak.promptable.checkpoints import check_fits

    path = path_of(entry)
    problems = []
    try:
        problem = _checksum_problem(entry, path, sha256_of(path), thorough=True)
        problems += [] if problem is None else [problem]
        check_fits(path, entry=entry)
    except CheckpointError as error:
        problems.append(str(error))
    return Verified(entry, path, tuple(problems))


def _checksum_problem(entry: ModelEntry, path: Path, sha256: str, *, thorough: bool = False) -> str | None:
    """What is wrong with the checksum of weights, as a sentence with a remedy.

    Where only an MD5 is published, it is compared once and afterwards the recorded SHA-256, unless `thorough`.
    """
    record = None if entry.bundled is not None else read_record(path)
    if record is not None and record.sha256 != sha256:
        return (
            f"{path} is not the file that was recorded when it came (checksum {sha256}, recorded {record.sha256}); "
            f"{_again(entry)}."
        )
    if record is not None and (record.published is not True or not (thorough or entry.sha256)):
        return None
    published = is_published(entry, path, sha256=sha256)
    if published is None:
        return f"No checksum of {path} is known or recorded; run `autoweak models import {entry.name} {path}` once."
    if not published:
        return f"{path} has the checksum {sha256} and is not the published file ({entry.checksum}); {_again(entry)}."
    return None


def _again(entry: ModelEntry) -> str:
    if entry.bundled is not None:
        return "install the project again"
    if entry.url is not None:
        return f"delete it and run `autoweak models fetch {entry.name}`, or import it again"
    return f"run `autoweak models import {entry.name} FILE` again"


def _published_as(entry: ModelEntry, path: Path, sha256: str) -> bool | None:
    """Whether a file to be imported is the published one.

    Raises:
        CheckpointError: it is the file of another model, or the published one with some bytes changed.
    """
    for other in registry.entries_of(entry.architecture):
        if other is not entry and is_published(other, path, sha256=sha256):
            msg = f"{path} is the published file of {other.name!r}, not of {entry.name!r}; import it under that name."
            raise CheckpointError(msg)
    published = is_published(entry, path, sha256=sha256)
    if published is False and path.stat().st_size == entry.bytes:
        # Other weights are practically never of exactly the same size; a bad copy of the published file is.
        msg = (
            f"{path} has the size of the published file of {entry.name!r} but the checksum {sha256} instead of "
            f"{entry.checksum}: it was damaged on the way; copy or download it again."
        )
        raise CheckpointError(msg)
    return published


def _retrieve(entry: ModelEntry, url: str, path: Path, downloader: ResumingDownloader) -> None:
    """Let pooch fetch the published file and compare its checksum; what has come so far stays on any error but that."""
    with _quiet_pooch() as pooch:
        try:
            pooch.retrieve(url, entry.checksum, fname=path.name, path=path.parent, downloader=downloader)
        except DownloadError as error:
            msg = f"The weights of {entry.name!r} could not be fetched, because {error}; or {how_to_get(entry)}."
            raise CheckpointError(msg) from error
        except ValueError as error:
            # pooch's way to say that the checksum is another.
            downloader.discard()
            msg = (
                f"What {url} gave is not the published file of {entry.name!r} ({entry.checksum}) and was thrown away; "
                f"fetch it again, or {how_to_get(entry)}."
            )
            raise CheckpointError(msg) from error


def _downloader(entry: ModelEntry, progress: Progress) -> ResumingDownloader:
    path = path_of(entry)
    return ResumingDownloader(path.with_name(f"{path.name}.part"), size=entry.bytes, progress=progress)


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[Any]:
    """Yield pooch, which otherwise tells on standard error what it does."""
    import logging

    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield pooch
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _lock(entry: ModelEntry) -> Iterator[None]:
    """Hold one model of the store for one process; the system lets go of it when the process dies."""
    from filelock import FileLock, Timeout

    path = path_of(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        msg = f"Another autoweak process is getting the weights of {entry.name!r}: wait for its end, or stop it first."
        raise CheckpointError(msg) from None
    try:
        yield
    finally:
        lock.release()


def _copy(source: Path, target: Path, *, sha256: str) -> None:
    """Copy weights that were checked, making sure that it is those that arrive."""
    digest = hashlib.sha256()
    with atomic_path(target) as partial:
        with source.open("rb") as reader, partial.open("wb") as writer:
            while chunk := reader.read(_CHUNK):
                digest.update(chunk)
                writer.write(chunk)
        if digest.hexdigest() != sha256:
            msg = f"{source} changed while it was copied; import it again when nothing writes to it."
            raise CheckpointError(msg)


def _write_record(entry: ModelEntry, path: Path, *, sha256: str, origin: str, published: bool | None) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = Record(entry.name, sha256, path.stat().st_size, now, origin, published)
    write_json(_record_path(path), asdict(record))


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
