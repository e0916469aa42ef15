"""One slow request holds up no other, and every mistake is answered by a sentence.

MONAI Label's endpoints are coroutines that block: while one computes, nothing else is answered. Here each request runs
in a thread with an event loop of its own, slow kinds and quick kinds in pools of their own, so that `/info` never waits
behind an inference. Before that it is checked, and its body is bounded.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor, ThreadPoolExecutor
from json import JSONDecodeError
from typing import IO, TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from autoweak.errors import AutoweakError
from autoweak.server.checks import check_form, check_json, check_request
from autoweak.server.errors import ServerError, TooLargeError

if TYPE_CHECKING:
    from autoweak.server.app import AutoweakApp

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Slow requests at a time; more would only share the same cores.
_SLOW_AT_ONCE = 3
_QUICK_AT_ONCE = 8
_SLOW = (
    "/infer",
    "/activelearning",
    "/batch",
    "/scoring",
    "/datastore/image",
    "/datastore/label",
    "/datastore/dataset",
)
# Files of the viewer, served as they come.
_DIRECT = ("/static", "/ohif", "/docs", "/openapi.json", "/favicon.ico")
# MONAI Label lets pages from anywhere read what a browser on this machine gets; its setting for that does not start.
_OWN_PAGES = r"https?://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?"
_UPLOADS = ("/infer", "/datastore", "/session", "/proxy")
_MOST_JSON_BYTES = 4 * 1024**2
_KEPT_IN_MEMORY = 4 * 1024**2
_CHUNK = 1 << 20


def install(app: AutoweakApp) -> None:
    """Put this in front of MONAI Label's own web application, which is already running when the app is built."""
    from monailabel.app import app as web

    others = [one for one in web.user_middleware if one.cls is not CORSMiddleware]
    cors = Middleware(CORSMiddleware, allow_origin_regex=_OWN_PAGES, allow_methods=["*"], allow_headers=["*"])
    web.user_middleware[:] = [cors, *others, Middleware(Patience, app=app)]
    for kind in (AutoweakError, JSONDecodeError, UnicodeDecodeError, Exception):
        web.exception_handlers[kind] = _answer
    web.exception_handlers[RequestValidationError] = _answer_invalid
    web.exception_handlers[HTTPException] = _answer_http
    web.middleware_stack = web.build_middleware_stack()


class Patience:
    """ASGI middleware: check, bound, and run in a thread.

    Args:
        inner: the web application.
        app: whose names and studies requests are checked against.
    """

    def __init__(self, inner: ASGIApp, app: AutoweakApp) -> None:
        self._inner = inner
        self._app = app
        self._slow = ThreadPoolExecutor(_SLOW_AT_ONCE, thread_name_prefix="slow")
        self._quick = ThreadPoolExecutor(_QUICK_AT_ONCE, thread_name_prefix="quick")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or str(scope["path"]).startswith(_DIRECT):
            await self._inner(scope, receive, send)
            return
        path = str(scope["path"])
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._quick, check_request, scope, self._app)
            body = await _read(receive, limit=self._limit(path))
        except ServerError as error:
            await _sentence(str(error), error.status)(scope, receive, send)
            return
        # "/datastore/" alone, the list of all images, is quick.
        pool = self._slow if path.startswith(_SLOW) and path != "/datastore/" else self._quick
        with body:
            await _in_thread(self._inner, scope, body, send, pool)

    def _limit(self, path: str) -> int:
        return self._app.settings.max_upload_mb * 1024**2 if path.startswith(_UPLOADS) else _MOST_JSON_BYTES


async def _in_thread(inner: ASGIApp, scope: Scope, body: IO[bytes], send: Send, pool: Executor) -> None:
    """Run the web application on one request in a thread, with an event loop of its own."""
    outside = asyncio.get_running_loop()

    async def inner_send(message: Message) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_sent(send, message), outside))

    await outside.run_in_executor(pool, lambda: asyncio.run(_run(inner, scope, body, inner_send)))


async def _check_body(scope: Scope, body: IO[bytes]) -> None:
    """Check what a request says in JSON, as a whole or in a form; the files of a form are read once more then."""
    kind = next((value for name, value in scope["headers"] if name.lower() == b"content-type"), b"").lower()
    body.seek(0)
    if kind.startswith((b"multipart/form-data", b"application/x-www-form-urlencoded")):
        await check_form(Request(scope, _receive(body)))
    elif scope["method"] in {"POST", "PUT"} and not str(scope["path"]).startswith("/proxy"):
        check_json(body.read(_MOST_JSON_BYTES + 1), str(scope["path"]))
    body.seek(0)


async def _sent(send: Send, message: Message) -> None:
    await send(message)


async def _run(inner: ASGIApp, scope: Scope, body: IO[bytes], send: Send) -> None:
    try:
        await _check_body(scope, body)
    except ServerError as error:
        await _sentence(str(error), error.status)(scope, _receive(body), send)
        return
    await inner(scope, _receive(body), send)


def _receive(body: IO[bytes]) -> Receive:
    """The body of a request, as the web application asks for it."""
    ended = False

    async def receive() -> Message:
        nonlocal ended
        if ended:
            await asyncio.Event().wait()  # the client stays until it is answered
        chunk = body.read(_CHUNK)
        ended = len(chunk) < _CHUNK
        return {"type": "http.request", "body": chunk, "more_body": not ended}

    return receive


async def _read(receive: Receive, *, limit: int) -> IO[bytes]:
    """The body of a request, on disk where it is large.

    Raises:
        TooLargeError: it is larger than `limit` bytes.
    """
    body: IO[bytes] = tempfile.SpooledTemporaryFile(_KEPT_IN_MEMORY)  # noqa: SIM115
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            body.close()
            raise TooLargeError(f"The request is larger than {limit // 1024**2} MB, which is all that is taken here.")
        body.write(chunk)
        more = message.get("more_body", False)
    body.seek(0)
    return body


def _sentence(text: str, status: int) -> JSONResponse:
    return JSONResponse({"detail": text}, status_code=status)


def _answer(request: Request, error: Exception) -> JSONResponse:
    """What is told of an exception: what a client can mend, and else only that the log knows more."""
    del request
    if isinstance(error, AutoweakError):
        return _sentence(str(error), getattr(error, "status", 422))
    if isinstance(error, (JSONDecodeError, UnicodeDecodeError)):
        return _sentence("The request is not valid: its parameters must be JSON in UTF-8.", 422)
    return _sentence("The server failed at this request; its log says why.", 500)


def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    """The web library lists what is wrong for programs; the first of it is told for people."""
    del request
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    where = ".".join(str(part) for part in first.get("loc", ()))[:80]
    return _sentence(f"The request's {where} is not valid: {first.get('msg')}.", 422)


def _answer_http(request: Request, error: Exception) -> JSONResponse:
    """MONAI Label says 500 for mistakes of a client too."""
    del request
    status = getattr(error, "status_code", 500)
    return _sentence(str(getattr(error, "detail", "")), 422 if status == 500 else status)
