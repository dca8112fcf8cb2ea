"""Who visits: a session is a token of the user, kept in a cookie that scripts and other sites cannot use.

A form proves that it was rendered for its visitor by a value derived from that token; the form of
signing in, where there is none yet, by a random value that is also in a cookie of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from litestar.datastructures import Cookie

from muse.errors import AccessDenied
from musehub.accounts.actor import ANONYMOUS, Actor
from musehub.accounts.request import load_request_actor
from musehub.accounts.service import Accounts
from musehub.accounts.users import User
from musehub.settings import Settings
from musehub.web.given import GivenAccounts, GivenClock, GivenSettings
from musehub.web.page import AnyRequest, Visit, make_visit

SESSION_COOKIE = "musehub_session"
FORM_COOKIE = "musehub_form"
FORM_FIELD = "form_token"
_FORM_TTL = timedelta(hours=12)
_FORM_VALUE = re.compile(r"[\w-]{32}", re.ASCII)


async def provide_visit(
    request: AnyRequest,
    accounts: GivenAccounts,
    settings: GivenSettings,
    clock: GivenClock,
) -> Visit:
    """The dependency `visit` of every page.

    A session that has ended is nobody; a wrong Authorization header is an error, as in the API.
    """
    secret = request.cookies.get(SESSION_COOKIE, "")
    actor = ANONYMOUS
    if request.headers.get("authorization"):
        actor = await load_request_actor(request.scope, accounts, settings)
    elif secret:
        try:
            actor = await accounts.tokens.load_actor(secret)
        except AccessDenied:
            actor = ANONYMOUS
    form_token = "" if actor.is_anonymous or not secret else session_form_token(secret)
    return make_visit(request, settings, actor, form_token, clock())


async def open_session(accounts: Accounts, settings: Settings, user: User, visit: Visit) -> list[Cookie]:
    """Sign a user in; the cookies to set."""
    ttl = timedelta(days=settings.login_token_ttl_days)
    token = await accounts.tokens.issue(user.id, label="web session", scope="admin", ttl=ttl)
    return [
        _cookie(SESSION_COOKIE, token.secret or "", ttl, visit),
        _cookie(FORM_COOKIE, "", timedelta(0), visit),
    ]


async def close_session(accounts: Accounts, actor: Actor, visit: Visit) -> list[Cookie]:
    """Revoke the token behind the session; the cookies to set."""
    if actor.user_id is not None and actor.token_id is not None:
        await accounts.tokens.revoke(actor.user_id, actor.token_id)
    return [_cookie(SESSION_COOKIE, "", timedelta(0), visit)]


def session_form_token(secret: str) -> str:
    """The value that forms carry while this session lasts."""
    return hashlib.sha256(b"form\0" + secret.encode()).hexdigest()


def make_form_token(request: AnyRequest, visit: Visit) -> tuple[str, Cookie]:
    """A value for a form of somebody who is not signed in, and the cookie it is compared with.

    A browser keeps its value, so that the form works in several tabs.
    """
    value = request.cookies.get(FORM_COOKIE, "")
    if not _FORM_VALUE.fullmatch(value):
        value = secrets.token_urlsafe(24)
    return value, _cookie(FORM_COOKIE, value, _FORM_TTL, visit)


def check_form(request: AnyRequest, visit: Visit, given: str, expected: str) -> None:
    """Raise AccessDenied("bad-form") unless the form was rendered here, for this visitor."""
    is_ours = bool(expected) and hmac.compare_digest(given.encode(), expected.encode())
    if not is_ours or _is_foreign(request, visit):
        raise AccessDenied(
            "bad-form",
            "this form is too old or came from elsewhere",
            hint="go back, reload the page, send it again",
        )


def _is_foreign(request: AnyRequest, visit: Visit) -> bool:
    """Whether the browser says that another site sent this."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc not in (visit.host, request.headers.get("host"))


def safe_target(address: Any) -> str:
    """Where to go after signing in: an address of this hub, or the first page."""
    text = str(address or "/")
    if not text.startswith("/") or text.startswith("//") or "\\" in text or any(ord(c) < 32 for c in text):
        return "/"
    return text


def _cookie(name: str, value: str, ttl: timedelta, visit: Visit) -> Cookie:
    return Cookie(
        key=name,
        value=value,
        max_age=int(ttl.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=visit.is_secure,
    )
