"""The accounts API as a client sees it, and how errors look."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.musehub.conftest import TickingClock

from muse.errors import CATEGORIES, from_json
from musehub.accounts.keys import challenge_message
from musehub.accounts.service import Accounts
from musehub.app.compose import create_app
from musehub.db.engine import Database
from musehub.settings import Settings

PASSWORD = "correct horse"


@pytest.fixture
def database_kind() -> str:
    """What is said here does not depend on the database."""
    return "sqlite"


@pytest.fixture
async def client(
    settings: Settings, database: Database, clock: TickingClock
) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to the whole application, without a socket."""
    app = create_app(settings, database=database, clock=clock)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as opened:
        yield opened


@pytest.fixture
async def ada(accounts: Accounts) -> int:
    return (await accounts.users.create("ada", password=PASSWORD)).id


async def log_in(client: httpx.AsyncClient, user: str = "ada", **more: object) -> dict[str, str]:
    answer = await client.post("/api/v1/auth/token", json={"user": user, "password": PASSWORD, **more})
    assert answer.status_code == 201, answer.text
    return {"authorization": "Bearer " + answer.json()["token"]["secret"]}


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.usefixtures("ada")
async def test_login_by_password_and_logout(client: httpx.AsyncClient) -> None:
    headers = await log_in(client, label="laptop")
    answer = (await client.get("/api/v1/auth/whoami", headers=headers)).json()
    assert (answer["user"]["name"], answer["scope"]) == ("ada", "admin")
    assert (await client.delete("/api/v1/auth/token", headers=headers)).status_code == 204
    assert error_of(await client.get("/api/v1/auth/whoami", headers=headers)) == (401, "token-revoked")


async def test_login_by_key(client: httpx.AsyncClient, accounts: Accounts, ada: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    public = private.public_key().public_bytes_raw().hex()
    await accounts.keys.add(ada, public)
    given = (await client.post("/api/v1/auth/challenge", json={"public_key": public})).json()
    signature = private.sign(challenge_message(given["hub"], given["challenge"])).hex()
    proof = {"public_key": public, "challenge": given["challenge"], "signature": signature}
    answer = await client.post("/api/v1/auth/token", json={**proof, "scope": "read"})
    assert answer.status_code == 201
    assert answer.json()["user"]["name"] == "ada"
    assert answer.json()["token"]["scope"] == "read"


@pytest.mark.usefixtures("ada")
async def test_a_wrong_password_and_half_a_login(client: httpx.AsyncClient) -> None:
    wrong = await client.post("/api/v1/auth/token", json={"user": "ada", "password": "wrong password"})
    assert error_of(wrong) == (401, "bad-credentials")
    half = await client.post("/api/v1/auth/token", json={"user": "ada"})
    assert error_of(half) == (400, "bad-arguments")


@pytest.mark.usefixtures("ada")
async def test_too_many_attempts_say_when_to_come_back(client: httpx.AsyncClient) -> None:
    for _ in range(10):
        await client.post("/api/v1/auth/token", json={"user": "ada", "password": "wrong password"})
    answer = await client.post("/api/v1/auth/token", json={"user": "ada", "password": PASSWORD})
    assert error_of(answer) == (429, "too-many-attempts")
    assert answer.headers["retry-after"] == "900"


@pytest.mark.usefixtures("ada")
async def test_tokens_are_made_listed_and_revoked(client: httpx.AsyncClient) -> None:
    headers = await log_in(client)
    made = (
        await client.post("/api/v1/tokens", headers=headers, json={"label": "ci", "scope": "read"})
    ).json()
    listed = (await client.get("/api/v1/tokens", headers=headers)).json()
    assert [token["label"] for token in listed] == ["ci", ""]
    assert all(token["secret"] is None for token in listed)
    weak = {"authorization": "Bearer " + made["secret"]}
    assert error_of(await client.post("/api/v1/tokens", headers=weak, json={})) == (403, "wrong-scope")
    assert (await client.delete(f"/api/v1/tokens/{made['id']}", headers=headers)).status_code == 204
    assert error_of(await client.delete(f"/api/v1/tokens/{made['id']}", headers=headers)) == (
        404,
        "token-not-found",
    )
    assert error_of(await client.post("/api/v1/tokens", headers=headers, json={"scope": "root"})) == (
        400,
        "bad-arguments",
    )


@pytest.mark.usefixtures("ada")
async def test_a_token_for_one_repository_cannot_change_the_account(client: httpx.AsyncClient) -> None:
    headers = await log_in(client)
    made = await client.post("/api/v1/tokens", headers=headers, json={"scope": "admin", "repository_id": 1})
    narrow = {"authorization": "Bearer " + made.json()["secret"]}
    assert error_of(await client.post("/api/v1/tokens", headers=narrow, json={})) == (403, "wrong-scope")


@pytest.mark.usefixtures("ada")
async def test_keys_are_added_listed_and_revoked(client: httpx.AsyncClient) -> None:
    headers = await log_in(client)
    added = await client.post("/api/v1/keys", headers=headers, json={"public_key": "ab" * 32, "label": "box"})
    assert added.status_code == 201
    again = await client.post("/api/v1/keys", headers=headers, json={"public_key": "ab" * 32})
    assert error_of(again) == (409, "already-exists")
    bad = await client.post("/api/v1/keys", headers=headers, json={"public_key": "xyz"})
    assert error_of(bad) == (400, "bad-arguments")
    listed = (await client.get("/api/v1/keys", headers=headers)).json()
    assert [(key["public_key"], key["label"]) for key in listed] == [("ab" * 32, "box")]
    assert (await client.delete(f"/api/v1/keys/{listed[0]['id']}", headers=headers)).status_code == 204
    assert (await client.get("/api/v1/keys", headers=headers)).json() == []


@pytest.mark.usefixtures("ada")
async def test_changing_the_password_takes_the_old_one(client: httpx.AsyncClient) -> None:
    headers = await log_in(client)
    change = {"old_password": "wrong password", "new_password": "another horse"}
    assert error_of(await client.post("/api/v1/auth/password", headers=headers, json=change)) == (
        401,
        "bad-credentials",
    )
    change["old_password"] = PASSWORD
    assert (await client.post("/api/v1/auth/password", headers=headers, json=change)).status_code == 204
    assert error_of(await client.get("/api/v1/auth/whoami", headers=headers)) == (401, "token-revoked")


@pytest.mark.usefixtures("ada")
async def test_users_are_managed_by_administrators_only(
    client: httpx.AsyncClient, accounts: Accounts
) -> None:
    await accounts.users.create("root", password=PASSWORD, is_admin=True)
    root, ada = await log_in(client, "root"), await log_in(client)
    new = {"name": "bot", "kind": "agent"}
    assert error_of(await client.post("/api/v1/users", headers=ada, json=new)) == (403, "permission-denied")
    assert error_of(await client.get("/api/v1/users", headers=ada)) == (403, "permission-denied")
    assert error_of(await client.get("/api/v1/users")) == (401, "not-logged-in")
    assert (await client.post("/api/v1/users", headers=root, json=new)).status_code == 201
    names = [user["name"] for user in (await client.get("/api/v1/users", headers=root)).json()]
    assert names == ["ada", "bot", "root"]
    changed = await client.patch("/api/v1/users/ada", headers=root, json={"disabled": True})
    assert changed.json()["disabled_at"] is not None
    assert error_of(await client.get("/api/v1/auth/whoami", headers=ada)) == (401, "bad-credentials")
    assert error_of(await client.get("/api/v1/users/nobody", headers=root)) == (404, "user-not-found")


async def test_no_answer_holds_a_password_hash(client: httpx.AsyncClient, ada: int) -> None:
    headers = await log_in(client)
    texts = [
        (await client.get(path, headers=headers)).text
        for path in ("/api/v1/auth/whoami", "/api/v1/users/ada", "/api/v1/tokens")
    ]
    assert all("argon2" not in text for text in texts)


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/nothing/here/at/all", None, (404, "page-not-found")),
        ("POST", "/health", None, (405, "bad-arguments")),
        ("POST", "/api/v1/auth/token", b"{", (400, "bad-arguments")),
        ("POST", "/api/v1/auth/token", b'{"usr": "ada"}', (400, "bad-arguments")),
        ("POST", "/api/v1/auth/token", b'{"user": 7}', (400, "bad-arguments")),
        ("POST", "/api/v1/auth/token", b" " * 1_100_000, (413, "too-large")),
        ("POST", "/api/v1/auth/token", b"[" * 100_000, (400, "bad-arguments")),
        ("POST", "/api/v1/auth/token", b'{"a":' * 100_000, (400, "bad-arguments")),
    ],
)
async def test_bad_requests_get_an_error_with_a_code(
    client: httpx.AsyncClient, method: str, path: str, body: bytes | None, expected: tuple[int, str]
) -> None:
    answer = await client.request(method, path, content=body)
    assert error_of(answer) == expected
    assert isinstance(from_json(answer.json()["error"]), CATEGORIES)


async def test_a_defect_becomes_an_incident_and_shows_nothing_of_itself(
    client: httpx.AsyncClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with database.transaction("break") as conn:
        await conn.exec_driver_sql("ALTER TABLE users RENAME COLUMN password_hash TO secret_column")
    with caplog.at_level(logging.ERROR, logger="musehub"):
        answer = await client.post("/api/v1/auth/token", json={"user": "ada", "password": PASSWORD})
    assert error_of(answer) == (500, "internal")
    assert "password_hash" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.json()["error"]["details"]["incident"] in caplog.text
    assert "password_hash" in caplog.text


async def test_health_and_readiness(client: httpx.AsyncClient, database: Database) -> None:
    assert (await client.get("/health")).json()["status"] == "ok"
    assert (await client.get("/ready")).json()["status"] == "ready"


async def test_the_api_is_described_without_anything_from_elsewhere(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/schema", "/api/v1/schema/openapi.json"):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert "json" in answer.headers["content-type"]
        assert "/api/v1/auth/token" in answer.json()["paths"]
    assert (await client.get("/api/v1/schema/swagger")).status_code == 404
