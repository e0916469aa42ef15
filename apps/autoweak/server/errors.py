"""What a client can ask wrongly, each with the HTTP status that answers it."""

from __future__ import annotations

from autoweak.errors import AutoweakError


class ServerError(AutoweakError):
    """A request that cannot be answered; `status` is its HTTP status."""

    status = 422


class BadRequestError(ServerError):
    """The request is malformed, or asks for what is never done."""


class NotFoundError(ServerError):
    """No such image, label, model, strategy or session."""

    status = 404


class NotReadyError(ServerError):
    """What was asked for needs something that is not there yet: gold labels, a trained model."""

    status = 422


class TooLargeError(ServerError):
    """An upload is larger than the server takes."""

    status = 413


class NotOfferedError(ServerError):
    """MONAI Label has this endpoint, and this app does not offer it."""

    status = 405


class UpstreamError(ServerError):
    """The DICOMweb server does not answer, or refuses."""

    status = 502
