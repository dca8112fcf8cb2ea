"""The one place where an exception becomes an HTTP answer."""

from __future__ import annotations

import json
from typing import Any

from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.types import Send

from muse.errors import LimitReached, MuseError, NotFound, UsageError
from musehub.telemetry.incidents import report_defect
from musehub.web.errors import error_page, wants_page


def to_muse_error(error: Exception, *, where: str) -> MuseError:
    """What a client may know about `error`; a defect becomes an incident number, its trace is logged."""
    if isinstance(error, MuseError):
        return error
    if isinstance(error, NotFoundException):
        return NotFound("page-not-found", "there is nothing at this address")
    if isinstance(error, ValidationException):
        return UsageError(
            "bad-arguments", "the request has a wrong or missing argument", details={"problems": error.extra}
        )
    if isinstance(error, RecursionError) and _is_of_decoder(error):
        return UsageError("bad-arguments", "the request is nested too deeply")
    if isinstance(error, HTTPException) and error.status_code == 413:
        return LimitReached("too-large", "the request is larger than this hub accepts")
    if isinstance(error, HTTPException) and error.status_code < 500:
        return UsageError("bad-arguments", error.detail.lower() or "the request makes no sense")
    return report_defect(error, where)


def _is_of_decoder(error: BaseException) -> bool:
    """Whether it was raised where a body is decoded, and by nothing of ours."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return module.startswith("litestar.serialization")


def status_of(error: MuseError, original: Exception | None = None) -> int:
    """The status of the answer; 405 and 415 keep their own, everything else is the error's."""
    if isinstance(original, HTTPException) and original.status_code in (405, 415):
        return original.status_code
    return error.status


def headers_of(error: MuseError, original: Exception | None = None) -> dict[str, str]:
    """Headers that belong to the answer: when to come back, how to say who one is, what is allowed."""
    headers = {}
    wait_s = error.details.get("retry_after_s")
    if wait_s is not None:
        headers["retry-after"] = str(wait_s)
    if error.status == 401:
        # Not Basic, though it is understood: browsers would ask for a password with a window of their own.
        reason = "" if error.code == "not-logged-in" else ', error="invalid_token"'
        headers["www-authenticate"] = f'Bearer realm="musehub"{reason}'
    if isinstance(original, HTTPException) and original.status_code == 405:
        headers |= {"allow": allowed} if (allowed := (original.headers or {}).get("allow")) else {}
    return headers


def error_response(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A page for a browser, JSON for all else; Litestar calls this for every exception of a handler."""
    known = to_muse_error(error, where=f"{request.method} {request.url.path}")
    status = status_of(known, error)
    if wants_page(request):
        page = error_page(request, known, status)
        page.headers.update(headers_of(known, error))
        return page
    return Response(
        {"error": known.to_json()},
        status_code=status,
        headers=headers_of(known, error),
        media_type=MediaType.JSON,
    )


async def send_error(send: Send, error: MuseError, status: int | None = None) -> None:
    """The same answer, from a raw ASGI handler that has not started its response."""
    body = json.dumps({"error": error.to_json()}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **headers_of(error)}
    await send(
        {
            "type": "http.response.start",
            "status": status or error.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
