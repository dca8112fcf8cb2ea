"""How a raw ASGI endpoint is made known to the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from litestar.types import Receive, Scope, Send

RawHandler = Callable[[Scope, Receive, Send, dict[str, str]], Awaitable[None]]
"""Gets the ASGI arguments and the named parts of the path.

A MuseError raised before the response has started becomes the JSON error answer.
"""


class RawRoute(NamedTuple):
    """`path` is a template such as `/{owner}/{name}/push/stream`; a name fits one segment,
    and `{rest:path}` at the end fits any number of them."""

    method: str
    path: str
    handler: RawHandler
