"""Downloads from the embedded store under issued addresses."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from tests.musehub.hub import History, HubUser, RunningHub

from muse.wire.fetch import parse_pack_addresses
from muse.wire.frames import PACKS


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def pack(start_hub: Callable[..., RunningHub]) -> tuple[HubUser, str, bytes]:
    """Somebody without any token, the address of a pack, and its bytes."""
    hub = start_hub(stream_max_objects=1)
    ada = hub.user("ada")
    history = History()
    ada.repository("data").push_main(history, history.commit_files({"a": os.urandom(3_000_000)}))
    frames = ada.repository("data").fetch().frames()
    (address,) = (a for frame in frames if frame.type == PACKS for a in parse_pack_addresses(frame.json()))
    answer = hub.nobody().request("GET", address.request.url)
    assert answer.status == 200
    assert len(answer.body) == address.size_bytes
    return hub.nobody(), address.request.url, answer.body


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=1000000-", slice(1_000_000, None)),
        ("bytes=2999000-99999999", slice(2_999_000, None)),
    ],
)
def test_a_download_is_taken_up_where_it_stopped(
    pack: tuple[HubUser, str, bytes], asked: str, part: slice
) -> None:
    user, url, whole = pack
    answer = user.request("GET", url, headers={"Range": asked})
    assert answer.status == 206
    assert answer.body == whole[part]
    start = part.start
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(answer.body) - 1}/{len(whole)}"


def test_a_range_beyond_the_end_is_said_to_be_so(pack: tuple[HubUser, str, bytes]) -> None:
    user, url, whole = pack
    answer = user.request("GET", url, headers={"Range": "bytes=999999999-"})
    assert answer.status == 416
    assert answer.headers["content-range"] == f"bytes */{len(whole)}"


def test_an_address_for_reading_is_for_that_pack_and_for_reading(pack: tuple[HubUser, str, bytes]) -> None:
    user, url, whole = pack
    path, _, query = url.partition("?")
    other = path[:-1] + ("0" if path[-1] != "0" else "1")
    for wrong in (path, f"{other}?{query}", f"{path}?{query}0", f"/store/packs/../../x?{query}"):
        assert user.request("GET", wrong).status in {403, 404}, wrong
    assert user.request("PUT", url, whole).status == 403
