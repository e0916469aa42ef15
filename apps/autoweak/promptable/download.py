"""A downloader for pooch that goes on where an interrupted download ended; the only network access of the program.

What has come is kept in a part file, and beside it the address and the server's name for that version of the file
(its ETag). The next download asks for the rest of that very version. Whatever does not fit together is thrown away and
the download begins anew; the checksum, which pooch compares at the end, has the last word.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from autoweak.atomic import write_json
from autoweak.errors import CheckpointError
from autoweak.progress import NoProgress, Progress

if TYPE_CHECKING:
    from requests import Response, Session

# Larger than any model of the family, for files whose size is not known.
LARGEST_BYTES = 8_000_000_000
_MEGABYTE = 1_000_000
_REDIRECTS = 5
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class DownloadError(CheckpointError):
    """The file could not be got; the message is a part of a sentence that says why."""


@dataclass(frozen=True)
class ResumingDownloader:
    """A downloader as pooch calls it, with a part file to go on from.

    Attributes:
        part: what has come so far; kept when the download breaks off or is interrupted.
        size: of the whole file in bytes, where it is known; a file of another size is refused.
        progress: follows the download in megabytes (10^6 bytes).
        connect_seconds: how long to wait for a connection.
        read_seconds: how long to wait for the next bytes.
        chunk: bytes that are written at once; as many are lost at most when the download breaks off.
    """

    part: Path
    size: int | None = None
    progress: Progress = field(default_factory=NoProgress)
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    chunk: int = 1 << 16

    def __call__(self, url: str, output_file: str | Path, pooch: object = None) -> None:
        """Download `url` to `output_file`.

        The part file stays until `discard` is called, so that checking the result can be interrupted, too.

        Raises:
            DownloadError: no connection, another answer than the file, an unsafe redirect, or too few or many bytes.
        """
        del pooch
        if self.size is None or self._kept(url).bytes < self.size:
            self._download(url)
        _hand_over(self.part, Path(output_file))

    def discard(self) -> None:
        """Throw away what has come so far."""
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    def _kept(self, url: str) -> _Kept:
        note = _read_note(self._note)
        held = self.part.stat().st_size if self.part.is_file() else 0
        if note.get("url") != url or held > (self.size or LARGEST_BYTES):
            self.discard()
            return _Kept()
        etag = note.get("etag")
        return _Kept(held, etag if isinstance(etag, str) else None)

    def _download(self, url: str) -> None:
        import requests

        with requests.Session() as session:
            answer = self._ask(session, url, self._kept(url))
            if answer is None:
                self.discard()
                answer = self._ask(session, url, _Kept())
            if answer is None:
                raise DownloadError(f"{_host(url)} answered with a part of the file when asked for the whole")
            with contextlib.closing(answer.response):
                self._write(answer, url)

    def _ask(self, session: Session, url: str, kept: _Kept) -> _Answer | None:
        """Ask for what is missing; None when the server cannot go on from what was kept."""
        # Ranges and sizes count bytes of the file itself.
        headers = {"Accept-Encoding": "identity"}
        if kept.bytes:
            headers["Range"] = f"bytes={kept.bytes}-"
            if kept.etag is not None and kept.etag.startswith('"'):
                # Weak ETags are not allowed here; they are compared below.
                headers["If-Range"] = kept.etag
        response = self._follow(session, url, headers)
        answer = _Answer.read(response)
        if response.status_code == 200:
            self._check_whole(answer, url)
            return answer
        if response.status_code == 206 and answer.fits(kept, self.size):
            return answer
        response.close()
        if response.status_code in (206, 416):
            return None
        reason = f"{response.status_code} {response.reason or ''}".strip()
        raise DownloadError(f"{_host(response.url)} answered {reason}")

    def _check_whole(self, answer: _Answer, url: str) -> None:
        if self.size is not None and answer.total not in (None, self.size):
            answer.response.close()
            raise DownloadError(f"{url} gives {answer.total} bytes and not the {self.size} of the published file")

    def _follow(self, session: Session, url: str, headers: dict[str, str]) -> Response:
        import requests

        start, timeout = url, (self.connect_seconds, self.read_seconds)
        for _ in range(_REDIRECTS + 1):
            _check_address(url, start=start)
            try:
                response = session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=timeout)
                if not response.is_redirect:
                    _check_kind(response)
                    return response
                response.close()
                url = urljoin(url, response.headers["location"])
            except requests.RequestException as error:
                raise DownloadError(_why_unreachable(url, error)) from error
            except ValueError as error:
                raise DownloadError(f"{_host(url)} leads on to an address that is none") from error
        raise DownloadError(f"{_host(start)} led from one address to another more than {_REDIRECTS} times")

    def _write(self, answer: _Answer, url: str) -> None:
        import requests

        expected = answer.total if self.size is None else self.size
        done = answer.start or 0
        if not done:
            # The old bytes go before the note changes: the note always belongs to the bytes beside it.
            self.discard()
            write_json(self._note, {"url": url, "etag": answer.etag})
        with self.part.open("ab") as stream:
            try:
                for piece in answer.response.iter_content(self.chunk):
                    done += len(piece)
                    if done > (expected or LARGEST_BYTES):
                        break
                    stream.write(piece)
                    if _megabytes(done) > _megabytes(done - len(piece)):
                        self._tell(done, expected)
            except requests.RequestException as error:
                raise DownloadError(_broken_off(done, expected)) from error
        if done > (expected or LARGEST_BYTES):
            self.discard()
            raise DownloadError(f"{_host(url)} sent more than {expected or LARGEST_BYTES} bytes")
        if expected is not None and done < expected:
            raise DownloadError(_broken_off(done, expected))

    def _tell(self, done: int, expected: int | None) -> None:
        self.progress.update(_megabytes(done), _megabytes(done if expected is None else expected), "MB")


@dataclass(frozen=True)
class _Kept:
    """Bytes of an earlier download, and the server's name for the version they are of."""

    bytes: int = 0
    etag: str | None = None


@dataclass(frozen=True)
class _Answer:
    """A response that brings bytes from `start` on, of a file of `total` bytes; None where it does not say."""

    response: Response
    start: int | None
    total: int | None
    etag: str | None

    @classmethod
    def read(cls, response: Response) -> _Answer:
        """What a response says of itself."""
        etag = response.headers.get("etag")
        if response.status_code == 200:
            return cls(response, 0, _number(response.headers.get("content-length", "")), etag)
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if match is None:
            return cls(response, None, None, etag)
        return cls(response, _number(match[1]), _number(match[2]), etag)

    def fits(self, kept: _Kept, size: int | None) -> bool:
        """Whether these bytes go on from those, of the same version."""
        same = kept.etag is None or self.etag is None or kept.etag == self.etag
        return same and 0 < kept.bytes == self.start and (size is None or self.total in (None, size))


def _hand_over(part: Path, output: Path) -> None:
    """Give `output` the content of `part`, which stays: hashing gigabytes takes long enough to be interrupted."""
    output.unlink(missing_ok=True)
    try:
        output.hardlink_to(part)
    except OSError:
        # A file system without links.
        part.replace(output)


def _read_note(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _check_address(url: str, *, start: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme == "https" or (scheme == "http" and _on_this_machine(url) and start.startswith("http://")):
        return
    what = "is not an https address" if url == start else f"leads on to {url}, which is not an https address"
    raise DownloadError(f"{start} {what}")


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_kind(response: Response) -> None:
    """Refuse answers that are no file: a sign-in page of the network would else replace what was kept."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if response.status_code not in (200, 206):
        return
    if kind in ("text/html", "application/xhtml+xml"):
        response.close()
        raise DownloadError(f"{_host(response.url)} answered with a web page, perhaps the sign-in page of your network")
    if encoding not in ("", "identity"):
        response.close()
        raise DownloadError(f"{_host(response.url)} or a proxy sends the file in another encoding ({encoding})")


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _why_unreachable(url: str, error: Exception) -> str:
    import requests

    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy that this computer is set to use does not lead to {_host(url)}"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"there is no secure connection to {_host(url)} (where your network inspects connections, set "
            "REQUESTS_CA_BUNDLE to the file with its certificate)"
        )
    if isinstance(error, requests.exceptions.Timeout):
        return f"{_host(url)} did not answer in time"
    return f"{_host(url)} could not be reached"


def _broken_off(done: int, expected: int | None) -> str:
    of = "" if expected is None else f" of {expected / _MEGABYTE:.1f}"
    return f"the connection broke off after {done / _MEGABYTE:.1f}{of} MB; the same command goes on from there"


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _megabytes(count: int) -> int:
    return -(-count // _MEGABYTE)
