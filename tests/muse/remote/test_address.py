from __future__ import annotations

import pytest

from muse.errors import UsageError
from muse.remote.address import Origin, parse_hub_url, parse_repository_url


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://127.0.0.1:1337/ada/songs", "http://127.0.0.1:1337/ada/songs"),
        ("https://Hub.Example.org/ada/songs/", "https://hub.example.org/ada/songs"),
        ("https://hub.example.org:443/ada/songs", "https://hub.example.org/ada/songs"),
        ("http://hub.example.org:80/a/b.c_d-e", "http://hub.example.org/a/b.c_d-e"),
        ("http://[::1]:8080/ada/songs", "http://[::1]:8080/ada/songs"),
    ],
)
def test_repository_addresses_have_one_spelling(url: str, canonical: str) -> None:
    assert str(parse_repository_url(url)) == canonical


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("songs", "write http://"),
        ("ftp://hub.example.org/ada/songs", "write http://"),
        ("git@hub.example.org:ada/songs", "git import"),
        ("ssh://hub.example.org/ada/songs", "git import"),
        ("http://ada:secret@hub.example.org/ada/songs", "muse auth login"),
        ("http://hub.example.org/songs", "http://hub.example.org/OWNER/NAME"),
        ("http://hub.example.org/ada/songs/x", "OWNER/NAME"),
        ("http://hub.example.org/ada/../x", "OWNER/NAME"),
        ("http://hub.example.org/ada/son gs", "write http://"),
        ("http://hub.example.org/ada/songs?x=1", "OWNER/NAME"),
        ("http://hub.example.org/ada/songs#x", "write http://"),
        ("http:///ada/songs", "write http://"),
    ],
)
def test_a_wrong_address_is_refused_with_what_to_write(url: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_repository_url(url)
    assert caught.value.code == "bad-arguments"
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_cannot_be_is_refused(port: str) -> None:
    with pytest.raises(UsageError, match="port"):
        parse_repository_url(f"http://hub.example.org:{port}/ada/songs")


def test_of_a_hub_only_the_origin_counts() -> None:
    assert parse_hub_url("https://hub.example.org/ada/songs") == Origin("https", "hub.example.org", 443)
    assert str(parse_hub_url("http://127.0.0.1:1337")) == "http://127.0.0.1:1337"
