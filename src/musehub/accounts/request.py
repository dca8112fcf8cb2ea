"""From an ASGI request to the actor who sends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musehub.accounts.actor import Actor
from musehub.accounts.address import find_client_address, find_header
from musehub.accounts.service import Accounts
from musehub.settings import Settings


def read_client_address(scope: Mapping[str, Any], settings: Settings) -> str:
    """The address that limits count by."""
    client = scope.get("client")
    peer = client[0] if client else None
    return find_client_address(
        peer, find_header(scope["headers"], b"x-forwarded-for"), settings.trusted_proxies
    )


async def load_request_actor(scope: Mapping[str, Any], accounts: Accounts, settings: Settings) -> Actor:
    """The actor of an ASGI scope; raises AccessDenied for credentials that are wrong."""
    authorization = find_header(scope["headers"], b"authorization")
    return await accounts.logins.load_actor(authorization, read_client_address(scope, settings))
