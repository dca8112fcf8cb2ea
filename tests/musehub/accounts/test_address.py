"""Whose address counts, behind proxies and without."""

from __future__ import annotations

import pytest

from musehub.accounts.address import find_client_address


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "expected"),
    [
        ("10.0.0.1", None, "", "10.0.0.1"),
        (None, None, "", "unknown"),
        ("10.0.0.1", "1.2.3.4", "", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "10.0.0.1", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "10.0.0.1", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "10.0.0.1, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", "", "10.0.0.1", "10.0.0.1"),
    ],
)
def test_client_address(peer: str | None, forwarded: str | None, trusted: str, expected: str) -> None:
    assert find_client_address(peer, forwarded, trusted) == expected
