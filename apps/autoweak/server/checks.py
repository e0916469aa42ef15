"""What is refused before MONAI Label sees it: unknown names, ids that lead out of the studies, unsafe endpoints."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException

from autoweak.server.batch import BATCH_MODEL
from autoweak.server.datastore import TAGS
from autoweak.server.errors import BadRequestError, NotFoundError, NotOfferedError, TooLargeError
from autoweak.server.learned import PromptLearner
from autoweak.server.start import is_dicomweb

if TYPE_CHECKING:
    from starlette.requests import Request

    from autoweak.server.app import AutoweakApp

_SESSION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PROXY_PART = re.compile(r"[A-Za-z0-9._,@-]+")
_CHECK_SUM = re.compile(r"((SHA256|SHA512|MD5):)?[0-9a-fA-F]{1,128}")
_NAMED_IN_PATH = ("model", "strategy", "method")
_JSON_FIELDS = ("params", "info", "wsi")
_LONGEST_NAME = 200
_TRUE = {"1", "true", "yes", "on"}


def check_request(scope: MutableMapping[str, Any], app: AutoweakApp) -> None:
    """Check path and query of a request.

    Raises:
        ServerError: with the status and the sentence to answer.
    """
    method = scope["method"]
    parts = [part for part in str(scope["path"]).split("/") if part]
    query = _query(scope["query_string"])
    _check_length(scope["headers"], app)
    _check_names(method, parts, app)
    _check_offered(method, parts, query)
    if parts and parts[0] == "proxy":
        _check_proxy(method, str(scope["path"]), app)
    if parts and parts[0] in {"infer", "datastore"}:
        uploads_image = method == "PUT" and parts in (["datastore"], ["datastore", "image"])
        _check_ids(query, app, new_image=uploads_image)
    if parts and parts[0] == "session" and len(parts) > 1:
        _check_session(parts[1])
    if query.get("session_id"):
        _check_session(query["session_id"])
    if parts and parts[0] == "train":
        _check_training(method, parts, app)


def _check_training(method: str, parts: list[str], app: AutoweakApp) -> None:
    """Refuse a training that could only fail; one that waits learns whether it is still wanted."""
    named = [trainer for name, trainer in app.trainers.items() if len(parts) == 1 or name == parts[1]]
    if method == "POST":
        for trainer in named:
            trainer.check()
    for trainer in named:
        if isinstance(trainer, PromptLearner) and method == "POST":
            trainer.asked()
        elif isinstance(trainer, PromptLearner) and method == "DELETE":
            trainer.stopped()


async def check_form(request: Request) -> None:
    """Check a form: fields that hold JSON, and the names of files, whose endings become those of files here.

    Raises:
        BadRequestError: the form is damaged, or something in it is not as it must be.
    """
    try:
        async with request.form() as form:
            for name, value in form.multi_items():
                if not isinstance(value, str):
                    _check_file_name(value.filename or "")
                elif name in _JSON_FIELDS and value:
                    _check_object(value, f"The form's {name}")
            if any(not isinstance(form.get(name, ""), str) for name in _JSON_FIELDS):
                raise BadRequestError("The form's params must be a JSON object, as text.")
    except HTTPException as error:
        raise BadRequestError(f"The form cannot be read: {error.detail}") from None


def check_json(body: bytes, path: str) -> None:
    """Check that a request which is no form says nothing, or one JSON object.

    Raises:
        BadRequestError: it is something else, or holds NaN or infinity.
    """
    if not body.strip() or body.strip() == b"null":
        return
    content = _check_object(body, "The request")
    named = path.strip("/").rsplit("/", 1)[-1]
    for key in _NAMED_IN_PATH:
        if content.get(key) not in (None, named):
            raise BadRequestError(f"The request asks for {named[:80]!r} and names another {key} in its JSON; name one.")
    if path.strip("/") in {"train", "scoring"}:
        wrong = next((key for key, value in content.items() if not isinstance(value, dict)), None)
        if wrong is not None:
            raise BadRequestError(f"What the request says of {wrong[:80]!r} must be a JSON object.")


def _check_object(text: str | bytes, what: str) -> dict[str, Any]:
    """JSON as the standard has it: answers with NaN or infinity could not be sent."""
    try:
        content = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        json.dumps(content, ensure_ascii=False).encode("utf-8")  # halves of signs could not be answered
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BadRequestError(f"{what} must be a JSON object, with finite numbers, as text in UTF-8.")
    return content


def _refuse(name: str) -> None:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _check_file_name(name: str) -> None:
    if len(name.encode("utf-8", errors="replace")) > _LONGEST_NAME or not name.isprintable():
        raise BadRequestError(
            f"A file that is sent must have a name of at most {_LONGEST_NAME} bytes, without control characters."
        )


def _query(text: bytes) -> dict[str, str]:
    try:
        return {key: values[-1] for key, values in parse_qs(text.decode("utf-8"), max_num_fields=50).items()}
    except ValueError:
        raise BadRequestError("The query of the request is not valid UTF-8, or has too many fields.") from None


def _check_length(headers: list[tuple[bytes, bytes]], app: AutoweakApp) -> None:
    limit = app.settings.max_upload_mb
    for name, value in headers:
        if name.lower() == b"content-length" and (not value.isdigit() or int(value) > limit * 1024**2):
            raise TooLargeError(f"The request is larger than {limit} MB, which is all that is taken here.")


def _check_names(method: str, parts: list[str], app: AutoweakApp) -> None:
    """Models, trainers, strategies and scorings that are asked for must be there."""
    if method != "POST":
        return
    known: Mapping[str, Any] = {
        "infer": app.infers,
        "train": app.trainers,
        "activelearning": app.strategies,
        "scoring": app.scorings,
    }
    if len(parts) == 2 and parts[0] in known and parts[1] not in known[parts[0]]:
        what = {"infer": "model", "train": "trainer", "activelearning": "strategy", "scoring": "scoring"}[parts[0]]
        raise NotFoundError(f"There is no {what} {parts[1][:80]!r}; use {' or '.join(known[parts[0]])}.")
    if parts[:2] == ["batch", "infer"] and len(parts) == 3 and parts[2] != BATCH_MODEL:
        if parts[2] not in app.infers:
            raise NotFoundError(f"There is no model {parts[2][:80]!r}; a batch is run with {BATCH_MODEL}.")
        raise BadRequestError(f"Only {BATCH_MODEL} makes weak labels for all images; run the batch with it.")


def _check_offered(method: str, parts: list[str], query: Mapping[str, str]) -> None:
    if parts[:1] == ["model"] and method in {"PUT", "DELETE"}:
        raise NotOfferedError("Models are trained here, or named when the server starts; they are not uploaded.")
    if parts[:1] == ["reload"]:
        raise NotOfferedError("The app is not loaded again while it serves; restart the server.")
    if parts[:1] == ["infer"] and len(parts) > 1 and parts[1].startswith("wsi"):
        raise NotOfferedError("Whole-slide images are not served here.")
    if parts[:1] == ["train"] and query.get("run_sync", "").lower() in _TRUE:
        raise BadRequestError("A training runs in a process of its own; start it without run_sync and follow it.")
    if parts == ["logs", "gpu"] and shutil.which("nvidia-smi") is None:
        raise NotFoundError("This machine has no GPU whose log could be shown.")
    if not _CHECK_SUM.fullmatch(query.get("check_sum", "0")):
        raise BadRequestError("A check_sum is SHA256, SHA512 or MD5, a colon, and hexadecimal digits.")
    if query.get("output") == "dicom_seg":
        raise BadRequestError("Masks are not answered as DICOM SEG; ask for output=image.")
    if query.get("uncompress", "").lower() in _TRUE:
        raise BadRequestError("Archives are not unpacked here; send the image itself.")


def _check_ids(query: Mapping[str, str], app: AutoweakApp, *, new_image: bool) -> None:
    tag = query.get("tag")
    if tag is not None and tag not in TAGS:
        raise BadRequestError(f"There is no label tag {tag[:80]!r}; the tags are {' and '.join(TAGS)}.")
    for key in ("image", "id", "label"):
        if query.get(key) and not (new_image and key == "image"):
            app.store.study(query[key])


def _check_proxy(method: str, path: str, app: AutoweakApp) -> None:
    """The proxy reaches the DICOMweb server's own folder, and not what else that machine offers beside it."""
    if not is_dicomweb(app.studies):
        raise NotOfferedError("The studies are a folder, so there is no DICOMweb server to ask.")
    if any(part in {".", ".."} or not _PROXY_PART.fullmatch(part) for part in path.strip("/").split("/")):
        raise BadRequestError("The path of the DICOMweb request has parts that DICOMweb does not know.")
    if method != "GET" and not (method == "POST" and path.startswith("/proxy/dicom/stow/")):
        raise NotOfferedError("The proxy only reads from the DICOMweb server, and stores what is posted to stow.")


def _check_session(session_id: str) -> None:
    if not _SESSION.fullmatch(session_id):
        raise NotFoundError("There is no such session; a session is called as the server answered when it was made.")
