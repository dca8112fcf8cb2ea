"""Signing in and out."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect

from muse.errors import AccessDenied, LimitReached, MuseError
from musehub.accounts.request import read_client_address
from musehub.web.given import GivenAccounts, GivenSettings, GivenVisit
from musehub.web.page import AnyRequest, Visit, page_response
from musehub.web.session import (
    FORM_COOKIE,
    FORM_FIELD,
    check_form,
    close_session,
    make_form_token,
    open_session,
    safe_target,
)


@get("/login")
async def show_login(request: AnyRequest, visit: GivenVisit) -> Response[Any]:
    """The form; whoever is signed in already goes on."""
    target = safe_target(request.query_params.get("next"))
    if not visit.actor.is_anonymous:
        return _redirect(target)
    return await _form(request, visit, target)


@post("/login", status_code=200)
async def log_in(
    request: AnyRequest,
    visit: GivenVisit,
    accounts: GivenAccounts,
    settings: GivenSettings,
) -> Response[Any]:
    """Check name and password; failures are counted per name and per address, as those of the API."""
    form = await request.form()
    target = safe_target(form.get("next"))
    name, password = str(form.get("name", "")).strip(), str(form.get("password", ""))
    address = read_client_address(request.scope, settings)
    try:
        check_form(request, visit, str(form.get(FORM_FIELD, "")), request.cookies.get(FORM_COOKIE, ""))
        user = await accounts.logins.check_password(name, password, address)
    except (AccessDenied, LimitReached) as error:
        return await _form(request, visit, target, name, error)
    cookies = await open_session(accounts, settings, user, visit)
    return _redirect(target, cookies)


@post("/logout", status_code=200)
async def log_out(request: AnyRequest, visit: GivenVisit, accounts: GivenAccounts) -> Response[Any]:
    """End the session on the hub, not only in this browser."""
    if visit.actor.is_anonymous:
        return _redirect("/")
    form = await request.form()
    check_form(request, visit, str(form.get(FORM_FIELD, "")), visit.form_token)
    return _redirect("/", await close_session(accounts, visit.actor, visit))


async def _form(
    request: AnyRequest, visit: Visit, target: str, name: str = "", error: MuseError | None = None
) -> Response[bytes]:
    value, cookie = make_form_token(request, visit)
    context = {"target": target, "name": name, "error": error, "form_token": value}
    status = error.status if error is not None else 200
    return await page_response(visit, "login.html", context, status=status, cookies=[cookie])


def _redirect(target: str, cookies: list[Any] | None = None) -> Response[Any]:
    return Redirect(target, status_code=303, cookies=cookies, headers={"cache-control": "no-store"})
