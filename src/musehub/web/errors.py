"""Error pages: what went wrong and what to do, for people."""

from __future__ import annotations

from litestar import Response

from muse.errors import MuseError
from musehub.web.addresses import escape_path
from musehub.web.page import AnyRequest, find_visit, html_response, render_page

_TITLES = {
    400: "This request makes no sense",
    401: "Sign in first",
    403: "This is not allowed",
    404: "Nothing here",
    405: "This is not allowed",
    409: "Something changed meanwhile",
    413: "Too large",
    422: "This cannot be read",
    429: "Too much at once",
    502: "Something behind the hub does not answer",
    503: "The hub is busy",
}

_MAYBE = (401, 403, 404)
"""What a login may change."""
_INSIDE = ("unknown-path", "unknown-revision", "unknown-object", "unknown-branch", "receipt-not-found")
"""Only somebody who sees the repository is told these."""


def wants_page(request: AnyRequest) -> bool:
    """Whether an error is for a person: a browser asks for HTML, and not under the API's addresses."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def error_page(request: AnyRequest, error: MuseError, status: int) -> Response[bytes]:
    """The page of an error.

    What may not be seen and what does not exist are one page: it depends on the address alone.
    """
    visit = find_visit(request)
    # Without a visit nobody looked who this is: at an address where nothing is, that would change nothing.
    may_sign_in = (status in (401, 403)) if visit is None else (status in _MAYBE and visit.actor.is_anonymous)
    context = {
        "status": status,
        "title": _TITLES.get(status, "The hub failed"),
        "error": error,
        "hint": _hint(error),
        "repository": _repository(request, error),
        "login_address": f"/login?next={escape_path(request.url.path)}" if may_sign_in else "",
    }
    return html_response(render_page(visit, "error.html", context), status=status)


def _repository(request: AnyRequest, error: MuseError) -> str:
    """`OWNER/NAME` that the address begins with, where the visitor may see it; else nothing."""
    parts = request.url.path.split("/")
    return "/".join(parts[1:3]) if error.code in _INSIDE and len(parts) > 3 else ""


def _hint(error: MuseError) -> str | None:
    """What a person at a browser can do, where the hint speaks of the command line."""
    if error.code == "repository-not-found":
        return "check the address; if the repository is private, sign in as somebody who may see it"
    if error.status == 404 and error.hint is None:
        return "check the address"
    return error.hint
