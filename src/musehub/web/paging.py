"""Lists of many pages: which one is asked for, and the ways to its neighbours."""

from __future__ import annotations

from urllib.parse import urlencode

from musehub.web.page import AnyRequest


def page_number(request: AnyRequest) -> int:
    """The number of the page that is asked for, from 1 on; nonsense is 1."""
    text = request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def page_links(address: str, number: int, more: bool, query: dict[str, str]) -> dict[str, str]:
    """`newer` and `older`: the addresses of the neighbouring pages, empty where there is none."""

    def link(page: int) -> str:
        values = {**query, **({"page": str(page)} if page > 1 else {})}
        return f"{address}?{urlencode(values)}" if values else address

    return {"newer": link(number - 1) if number > 1 else "", "older": link(number + 1) if more else ""}
