"""Whose address counts, behind proxies and without."""

from __future__ import annotations

import pytest

from musehub.accounts.address import find_client_address, limit_subject


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


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::ffff", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown", "unknown"),
    ],
)
def test_a_network_of_one_owner_counts_as_one(address: str, subject: str) -> None:
    assert limit_subject(address) == subject
