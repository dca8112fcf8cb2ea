"""The connection against servers that behave in every way a network allows."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.scripted_server import Peer, serve_script

from muse.errors import MuseError, RemoteFailure
from muse.remote.address import Origin
from muse.remote.channel import Timeouts
from muse.remote.connections import Connections
from muse.remote.http import Connection

PATIENT = Timeouts(5, 20)
HASTY = Timeouts(5, 0.2)


def echo(peer: Peer) -> None:
    while True:
        first, _, body = peer.read_request()
        if not first:
            return
        peer.answer(200, first.encode() + b"|" + body)


@pytest.mark.parametrize("body", [None, b"", b"small", b"x" * 3_000_000])
def test_a_body_of_known_length_arrives_and_the_connection_is_kept(body: bytes | None) -> None:
    with serve_script(echo) as server:
        connection = Connection(server.origin, PATIENT)
        for _ in range(2):
            answer = connection.exchange("POST", "/x?y", {}, body)
            assert answer.read_all(10_000_000) == b"POST /x?y HTTP/1.1|" + (body or b"")
        assert server.connections == 1
        connection.close()


def test_pieces_go_out_chunked_or_under_a_given_length() -> None:
    pieces = [b"a" * 70_000, b"", memoryview(b"b" * 10), b"c" * 20_000]
    whole = b"".join(pieces)
    with serve_script(echo) as server:
        connection = Connection(server.origin, PATIENT)
        assert connection.exchange("PUT", "/", {}, iter(pieces)).read_all(1 << 20).endswith(b"|" + whole)
        answer = connection.exchange("PUT", "/", {}, iter(pieces), len(whole))
        assert answer.read_all(1 << 20).endswith(b"|" + whole)
        connection.close()


def test_a_chunked_answer_with_extensions_and_trailers_is_read() -> None:
    def handler(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 103 Early\r\nX: 1\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;a=b\r\nwi")
        peer.send(b"ki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\n")
        echo(peer)

    with serve_script(handler) as server:
        connection = Connection(server.origin, PATIENT)
        assert connection.exchange("GET", "/", {}, None).read_all(100) == b"wikipedia"
        assert connection.exchange("GET", "/", {}, None).read_all(100) == b"GET / HTTP/1.1|"
        assert server.connections == 1
        connection.close()


def test_an_answer_without_length_ends_with_the_connection() -> None:
    def handler(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    with serve_script(handler) as server:
        connection = Connection(server.origin, PATIENT)
        assert connection.exchange("GET", "/", {}, None).read_all(100) == b"all of it"
        assert not connection.is_open


def test_an_answer_without_body_leaves_the_connection_usable() -> None:
    def handler(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        echo(peer)

    with serve_script(handler) as server:
        connection = Connection(server.origin, PATIENT)
        assert connection.exchange("DELETE", "/", {}, None).read() == b""
        assert connection.exchange("GET", "/", {}, None).read_all(100) == b"GET / HTTP/1.1|"
        connection.close()


def endless(size: int = 1 << 16) -> Iterator[bytes]:
    while True:
        yield b"x" * size


def test_a_refusal_in_the_middle_of_a_body_is_read_and_the_rest_not_sent() -> None:
    def handler(peer: Peer) -> None:
        peer.read_head()
        peer.read(100_000)
        peer.answer(413, b"too much")
        peer.read(1)  # reads nothing more: the rest of the body would never fit into the buffers

    with serve_script(handler) as server:
        connection = Connection(server.origin, PATIENT)
        answer = connection.exchange("POST", "/", {}, endless())
        assert (answer.status, answer.read_all(100)) == (413, b"too much")
        assert not connection.is_open


def test_what_was_said_before_closing_early_is_read() -> None:
    def handler(peer: Peer) -> None:
        peer.read_head()
        peer.read(1_000_000)
        peer.answer(200, b"X: enough of that", Connection="close")
        peer.read(4_000_000)  # drains a part, as a hub does, and closes

    with serve_script(handler) as server:
        connection = Connection(server.origin, PATIENT)
        body = (b"x" * 65536 for _ in range(1000))
        answer = connection.exchange("POST", "/", {}, body)
        assert answer.read_all(100) == b"X: enough of that"


def test_progress_during_a_blocked_upload_keeps_the_connection_alive() -> None:
    go_on = threading.Event()

    def handler(peer: Peer) -> None:
        _, headers = peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(8):  # 0.8 s, four times the time-out, in which nothing of the body is read
            go_on.wait(0.1)
            peer.send(b"1\r\nP\r\n")
        peer.read(int(headers["content-length"]))
        peer.send(b"1\r\nR\r\n0\r\n\r\n")

    size = 64 << 20
    with serve_script(handler) as server:
        connection = Connection(server.origin, Timeouts(5, 0.2))
        pieces = (b"x" * (1 << 20) for _ in range(64))
        answer = connection.exchange("POST", "/", {}, pieces, size)
        assert answer.read_all(100) == b"PPPPPPPPR"
        connection.close()


@pytest.mark.parametrize("body", [None, "endless"])
def test_silence_in_both_directions_is_a_time_out(body: str | None) -> None:
    released = threading.Event()

    def handler(peer: Peer) -> None:
        peer.read_head()
        released.wait(20)

    with serve_script(handler) as server:
        connection = Connection(server.origin, HASTY)
        with pytest.raises(RemoteFailure) as caught:
            connection.exchange("POST", "/", {}, endless() if body else None)
        assert caught.value.code == "remote-timeout"
        assert caught.value.retry
        released.set()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "remote-closed"),
        (b"HTTP/1.1 200 OK\r\nContent-", "remote-closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.", "remote-closed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "remote-closed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc", "remote-error"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc", "remote-error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "remote-error"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not-a-hub"),
        (b"HTTP/2 what\r\n\r\n", "not-a-hub"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n", "not-a-hub"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n", "not-a-hub"),
    ],
)
def test_an_answer_that_is_cut_or_nonsense_has_its_error(sent: bytes, code: str) -> None:
    def handler(peer: Peer) -> None:
        peer.read_request()
        peer.send(sent)

    with serve_script(handler) as server:
        connection = Connection(server.origin, PATIENT)
        with pytest.raises(MuseError) as caught:
            connection.exchange("GET", "/", {}, None).read_all(1 << 20)
        assert caught.value.code == code
        assert not connection.is_open


def test_an_answer_longer_than_expected_is_not_kept() -> None:
    def handler(peer: Peer) -> None:
        peer.read_request()
        peer.answer(200, b"x" * 100_000)

    with serve_script(handler) as server:
        connection = Connection(server.origin, PATIENT)
        with pytest.raises(RemoteFailure, match="more than 1000 bytes"):
            connection.exchange("GET", "/", {}, None).read_all(1000)
        connection.close()


def test_nobody_there_is_said_with_the_address() -> None:
    with serve_script(echo) as server:
        origin = server.origin
    with pytest.raises(RemoteFailure) as caught:
        Connection(origin, PATIENT).exchange("GET", "/", {}, None)
    assert caught.value.code == "remote-unreachable"
    assert str(origin) in caught.value.message


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signed itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hub")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "hub.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + made.public_bytes(Encoding.PEM))
    return path


@contextmanager
def serve_tls(certificate: Path) -> Iterator[Origin]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def handler(peer: Peer) -> None:
        plain = peer.socket
        with context.wrap_socket(plain.dup(), server_side=True) as secure:
            echo(Peer(secure))

    with serve_script(handler) as server:
        yield server.origin._replace(scheme="https")


def test_tls_carries_bodies_both_ways(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with serve_tls(certificate) as origin:
        connection = Connection(origin, PATIENT, trusting)
        for size in (10, 2_000_000):
            pieces = (b"x" * (size // 10) for _ in range(10))
            answer = connection.exchange("POST", "/", {}, pieces)
            assert answer.read_all(10_000_000) == b"POST / HTTP/1.1|" + b"x" * size
        connection.close()


def test_what_is_trusted_is_read_once(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = ssl.create_default_context, []

    def make_context() -> ssl.SSLContext:
        made.append(make(cafile=str(certificate)))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", make_context)
    connections = Connections(PATIENT)
    with serve_tls(certificate) as origin:
        taken = [connections.take(origin) for _ in range(3)]
        for connection in taken:
            connection.exchange("GET", "/", {}, None).read_all(1000)
            connections.give_back(connection)
        connections.close()
    assert len(made) == 1


def test_tls_to_a_hub_without_it_says_so() -> None:
    with serve_script(lambda peer: peer.answer(400)) as server:
        origin = server.origin._replace(scheme="https")
        connection = Connection(origin, PATIENT, ssl.create_default_context())
        with pytest.raises(RemoteFailure) as caught:
            connection.exchange("GET", "/", {}, None)
    assert caught.value.code == "remote-unreachable"
    assert "does not speak TLS" in caught.value.message
    assert "http://" in (caught.value.hint or "")


def test_a_certificate_that_is_not_trusted_is_refused(certificate: Path) -> None:
    with serve_tls(certificate) as origin, pytest.raises(RemoteFailure) as caught:
        Connection(origin, PATIENT, ssl.create_default_context()).exchange("GET", "/", {}, None)
    assert caught.value.code == "remote-unreachable"
    assert "certificate" in (caught.value.hint or "")
