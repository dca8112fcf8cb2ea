"""What a hub may have a client send to somebody else."""

from __future__ import annotations

from typing import Any

import pytest

from muse.errors import InvalidData
from muse.wire.uploads import SignedRequest, parse_presign_answer

URL = "http://store.example:8333/packs/1/ab?X-Amz-Signature=0a"


def parse(**members: Any) -> SignedRequest | None:
    given = {"method": "PUT", "url": URL, "headers": {"x-amz-checksum-sha256": "YWJj="}, "expires_at": "soon"}
    return parse_presign_answer({"stored": False, "uploaded": False, **given, **members}).request


def test_an_address_with_headers_is_taken_as_it_is() -> None:
    assert parse() == SignedRequest("PUT", URL, {"x-amz-checksum-sha256": "YWJj="}, "soon")
    assert parse(url="/store/packs/1/ab?proof=0a") is not None


def test_the_length_is_the_clients_to_say() -> None:
    request = parse(headers={"Content-Length": "7", "x-amz-checksum-sha256": "YWJj="})
    assert request is not None
    assert request.headers == {"x-amz-checksum-sha256": "YWJj="}


@pytest.mark.parametrize(
    "members",
    [
        {"method": "DELETE"},
        {"method": "GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nPUT"},
        {"url": "/x HTTP/1.1\r\n\r\nGET /y"},
        {"url": "/a b"},
        {"url": "/\u2603"},
        {"url": ""},
        {"headers": {"x": "y\r\n\r\nGET /shutdown HTTP/1.1"}},
        {"headers": {"x": "y\nz: w"}},
        {"headers": {"x\r\ny": "z"}},
        {"headers": {"x y": "z"}},
        {"headers": {"": "z"}},
        {"headers": {"x": "\u2603"}},
        {"headers": {"x": 1}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"Host": "127.0.0.1"}},
    ],
)
def test_nothing_becomes_another_request_than_the_one_that_was_meant(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidData) as caught:
        parse(**members)
    assert caught.value.code == "bad-frame"
