"""A file on a real HTTP server of this machine, with switches for what goes wrong on the way."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE = 65_536


class FileServer(ThreadingHTTPServer):
    """Serves `content` at any path; every switch is off at first."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.etag: str | None = '"first"'
        self.break_after: int | None = None  # bytes of the body, then the connection ends
        self.pause_after: int | None = None  # bytes of the body, then nothing until `go_on` is set
        self.go_on = threading.Event()
        self.ignore_range = False
        self.ignore_if_range = False
        self.content_range: str | None = None  # instead of the true one
        self.say_length = True
        self.status: int | None = None
        self.kind = "application/octet-stream"
        self.encoding: str | None = None
        self.redirect: str | None = None
        self.asked: list[dict[str, str]] = []  # headers of each request, names in small letters
        self.sent = 0  # bytes of bodies, the piece that is being sent included

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.pth"

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("range") for headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        server = self.server
        server.asked.append({name.lower(): value for name, value in self.headers.items()})
        if server.redirect is not None:
            self._head(302, 0, {"Location": server.redirect})
        elif server.status is not None:
            self._head(server.status, 0, {})
        else:
            self._file()

    def _file(self) -> None:
        server = self.server
        start = self._start()
        body, extra = server.content[start:], {}
        if start and not body:
            self._head(416, 0, {"Content-Range": f"bytes */{len(server.content)}"})
            return
        if start:
            true = f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
            extra["Content-Range"] = true if server.content_range is None else server.content_range
        if server.etag is not None:
            extra["ETag"] = server.etag
        if server.encoding is not None:
            extra["Content-Encoding"] = server.encoding
        self._head(206 if start else 200, len(body) if server.say_length else None, extra)
        self._body(body)

    def _start(self) -> int:
        server = self.server
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        version = self.headers.get("If-Range")
        if asked is None or server.ignore_range:
            return 0
        if version is not None and version != server.etag and not server.ignore_if_range:
            return 0
        return int(asked[1])

    def _body(self, body: bytes) -> None:
        server = self.server
        stop = min((at for at in (server.break_after, server.pause_after) if at is not None), default=len(body))
        with contextlib.suppress(OSError):
            for start in range(0, stop, _PIECE):
                piece = body[start : min(start + _PIECE, stop)]
                server.sent += len(piece)  # before the client can have it all and look
                self.wfile.write(piece)
            if server.pause_after is not None:
                server.go_on.wait(20)
                self.wfile.write(body[stop:])
            if server.break_after is not None or not server.say_length:
                self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _head(self, status: int, length: int | None, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", self.server.kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    """A server in a thread, until the end of the block."""
    server = FileServer(content)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
