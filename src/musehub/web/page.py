"""Rendering: templates, what every page needs to know, and the headers every page carries."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response
from litestar.datastructures import Cookie
from markupsafe import Markup

import muse
from musehub.accounts.actor import ANONYMOUS, Actor
from musehub.settings import Settings
from musehub.web import addresses, wording

AnyRequest = Request[Any, Any, Any]

SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_PAGE_HEADERS = {**SECURITY_HEADERS, "cache-control": "private, no-cache", "vary": "cookie"}
_SCOPE_KEY = "musehub.visit"


class Visit(NamedTuple):
    """One request of a person: who it is, what time it is for them, where the hub stands."""

    actor: Actor
    now: datetime
    base_url: str
    """The hub's address as this visitor reaches it, without a trailing slash."""
    path: str
    form_token: str
    """Proves that a form was rendered for this visitor; empty when nobody is signed in."""
    is_secure: bool

    @property
    def host(self) -> str:
        return self.base_url.partition("://")[2]


def make_visit(
    request: AnyRequest, settings: Settings, actor: Actor, form_token: str, now: datetime
) -> Visit:
    """Put a visit together and keep it with the request, for an error page that may follow."""
    url = request.url
    base_url = settings.public_url or f"{url.scheme}://{url.netloc}"
    visit = Visit(actor, now, base_url, url.path, form_token, base_url.startswith("https://"))
    request.scope[_SCOPE_KEY] = visit  # type: ignore[literal-required]
    return visit


def find_visit(request: AnyRequest) -> Visit | None:
    """What `make_visit` kept; None when the request failed before."""
    visit = request.scope.get(_SCOPE_KEY)
    return visit if isinstance(visit, Visit) else None


async def page_response(
    visit: Visit,
    template: str,
    context: Mapping[str, Any],
    *,
    status: int = 200,
    cookies: list[Cookie] | None = None,
) -> Response[bytes]:
    """Render in a thread: a page of ten thousand lines must not hold up a push."""
    body = await asyncio.to_thread(render_page, visit, template, context)
    return html_response(body, status=status, cookies=cookies)


def render_page(visit: Visit | None, template: str, context: Mapping[str, Any]) -> bytes:
    """The whole page; without a visit its header names nobody."""
    return (
        environment()
        .get_template(template)
        .render(
            visit=visit,
            actor=visit.actor if visit is not None else ANONYMOUS,
            now=visit.now if visit is not None else None,
            **context,
        )
        .encode()
    )


def html_response(body: bytes, *, status: int = 200, cookies: list[Cookie] | None = None) -> Response[bytes]:
    return Response(body, status_code=status, media_type="text/html", headers=_PAGE_HEADERS, cookies=cookies)


@cache
def environment() -> Environment:
    """The templates; every value is escaped unless it is Markup."""
    result = Environment(
        loader=PackageLoader("musehub.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    result.globals.update(
        version=muse.__version__,
        style_address=f"/static/{STYLE_NAME}?v={_digest(STYLE_NAME)}",
        icon_address=f"/static/{ICON_NAME}?v={_digest(ICON_NAME)}",
        owner_address=addresses.owner_address,
    )
    result.filters.update(
        size=wording.format_size,
        count=wording.format_count,
        duration=wording.format_duration,
        markup=Markup,
        age=_age,
    )
    return result


STYLE_NAME = "musehub.css"
ICON_NAME = "icon.svg"


@cache
def static_file(name: str) -> bytes:
    """A file of the folder `static`."""
    return resources.files("musehub.web").joinpath("static", name).read_bytes()


def _digest(name: str) -> str:
    return hashlib.sha256(static_file(name)).hexdigest()[:12]


def _age(instant: datetime, now: datetime) -> Markup:
    """A `time` element: how long ago for the eye, the exact instant on hover and for machines."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        wording.machine_instant(instant), wording.format_instant(instant), wording.format_age(instant, now)
    )
