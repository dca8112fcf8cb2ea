"""The list of pushes, and each with its timeline and receipt."""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromPath

from musehub.push.receipts import receipt_to_json
from musehub.web.given import GivenBrowser, GivenRepository, GivenVisit
from musehub.web.page import AnyRequest, page_response
from musehub.web.paging import page_links, page_number
from musehub.web.timelines import view_push, view_push_line

PAGE_SIZE = 50


@get("/{owner:str}/{name:str}/pushes")
async def show_pushes(
    request: AnyRequest,
    visit: GivenVisit,
    browser: GivenBrowser,
    repository: GivenRepository,
) -> Response[bytes]:
    """Who pushed what, when, and how long it took; also what failed."""
    addresses = repository.addresses
    number = page_number(request)
    found = await browser.list_pushes(limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    context = {
        "repository": repository,
        "tab": "pushes",
        "rows": [view_push_line(push, addresses) for push in found[:PAGE_SIZE]],
        **page_links(addresses.pushes, number, len(found) > PAGE_SIZE, {}),
    }
    return await page_response(visit, "pushes.html", context)


@get("/{owner:str}/{name:str}/pushes/{push_id:str}")
async def show_push(
    push_id: FromPath[str],
    visit: GivenVisit,
    browser: GivenBrowser,
    repository: GivenRepository,
) -> Response[bytes]:
    """Where every second of one push went."""
    push = await browser.get_push(push_id)
    context = {
        "repository": repository,
        "tab": "pushes",
        "push": view_push(push, repository.addresses, receipt_to_json(push)),
    }
    return await page_response(visit, "push.html", context)
