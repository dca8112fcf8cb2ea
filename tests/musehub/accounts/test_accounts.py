"""Users, tokens, keys and logins, on both databases and with a clock of the test's own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.musehub.conftest import TickingClock

from muse.errors import AccessDenied, Conflict, LimitReached, NotFound, UsageError
from musehub.accounts.actor import ANONYMOUS
from musehub.accounts.keys import challenge_message
from musehub.accounts.passwords import hash_password
from musehub.accounts.service import Accounts, open_accounts
from musehub.db.engine import Database
from musehub.db.secrets import get_secret
from musehub.settings import Settings

PASSWORD = "correct horse"
HERE = "192.0.2.1"


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


async def test_a_user_is_found_by_name_and_listed_in_order(accounts: Accounts) -> None:
    for name in ("ben", "ada", "cy.bot"):
        await accounts.users.create(name, kind="agent" if name == "cy.bot" else "human")
    assert [user.name for user in await accounts.users.list()] == ["ada", "ben", "cy.bot"]
    assert [user.name for user in await accounts.users.list(after="ada", limit=1)] == ["ben"]
    assert (await accounts.users.get("cy.bot")).kind == "agent"
    assert await accounts.users.find("dan") is None
    with pytest.raises(NotFound):
        await accounts.users.get("dan")


async def test_a_name_is_taken_once(accounts: Accounts) -> None:
    await accounts.users.create("ada")
    with pytest.raises(Conflict):
        await accounts.users.create("ada")


@pytest.mark.parametrize("name", ["", "Ada", "a b", "-a", "a-", "a..b", "a/b", "api", "x" * 41, "ä", "a\n"])
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_names_that_are_not_allowed(accounts: Accounts, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        await accounts.users.create(name)
    assert caught.value.code == "bad-name"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_a_password_that_is_too_short_is_refused(accounts: Accounts) -> None:
    with pytest.raises(UsageError):
        await accounts.users.create("ada", password="short")


async def test_password_login(accounts: Accounts) -> None:
    await accounts.users.create("ada", password=PASSWORD)
    actor = await accounts.logins.load_actor(basic("ada", PASSWORD), HERE)
    assert (actor.name, actor.scope, actor.token_id) == ("ada", "admin", None)
    for name, password in (("ada", "wrong password"), ("nobody", PASSWORD), ("ada", "")):
        with pytest.raises(AccessDenied) as caught:
            await accounts.logins.check_password(name, password, HERE)
        assert caught.value.message == "name or password is wrong"


async def test_a_user_without_password_cannot_log_in_with_one(accounts: Accounts) -> None:
    await accounts.users.create("ada")
    with pytest.raises(AccessDenied):
        await accounts.logins.check_password("ada", "", HERE)


async def test_passwords_are_salted() -> None:
    first, second = await asyncio.gather(hash_password(PASSWORD), hash_password(PASSWORD))
    assert first != second
    assert PASSWORD not in first


async def test_a_token_stands_for_its_user(accounts: Accounts) -> None:
    user = await accounts.users.create("ada")
    token = await accounts.tokens.issue(user.id, label="laptop", scope="read", repository_id=7)
    assert token.secret is not None
    assert token.secret.startswith("mht_")
    for header in (f"Bearer {token.secret}", basic("ada", token.secret), basic("", token.secret)):
        actor = await accounts.logins.load_actor(header, HERE)
        assert (actor.user_id, actor.scope, actor.repository_id, actor.token_id) == (
            user.id,
            "read",
            7,
            token.id,
        )
    with pytest.raises(AccessDenied):
        await accounts.logins.load_actor(basic("ben", token.secret), HERE)


async def test_a_token_is_listed_without_its_secret(accounts: Accounts) -> None:
    user = await accounts.users.create("ada")
    token = await accounts.tokens.issue(user.id, label="laptop")
    assert await accounts.tokens.list(user.id) == [
        type(token)(token.id, "laptop", "write", None, token.created_at, token.expires_at)
    ]


async def test_a_token_ends_at_its_time(accounts: Accounts, clock: TickingClock) -> None:
    user = await accounts.users.create("ada")
    token = await accounts.tokens.issue(user.id, ttl=timedelta(days=2))
    clock.advance(days=2, seconds=-1)
    assert not (await accounts.logins.load_actor(f"Bearer {token.secret}", HERE)).is_anonymous
    clock.advance(seconds=1)
    with pytest.raises(AccessDenied) as caught:
        await accounts.logins.load_actor(f"Bearer {token.secret}", HERE)
    assert caught.value.code == "token-expired"


async def test_a_revoked_token_is_refused(accounts: Accounts) -> None:
    user = await accounts.users.create("ada")
    other = await accounts.users.create("ben")
    token = await accounts.tokens.issue(user.id)
    with pytest.raises(NotFound):
        await accounts.tokens.revoke(other.id, token.id)
    await accounts.tokens.revoke(user.id, token.id)
    with pytest.raises(AccessDenied) as caught:
        await accounts.logins.load_actor(f"Bearer {token.secret}", HERE)
    assert caught.value.code == "token-revoked"
    with pytest.raises(NotFound):
        await accounts.tokens.revoke(user.id, token.id)
    assert await accounts.tokens.list(user.id) == []


async def test_the_last_use_of_a_token_is_noted_now_and_then(accounts: Accounts, clock: TickingClock) -> None:
    user = await accounts.users.create("ada")
    token = await accounts.tokens.issue(user.id)
    assert (await accounts.tokens.list(user.id))[0].last_used_at is None
    noted = []
    for _ in range(4):
        clock.advance(minutes=31)
        await accounts.logins.load_actor(f"Bearer {token.secret}", HERE)
        noted.append((await accounts.tokens.list(user.id))[0].last_used_at)
    assert noted[0] == noted[1]
    assert noted[2] == noted[3]
    assert noted[2] == clock.now - timedelta(minutes=31)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer mht_",
        "Bearer mht_????",
        "Bearer " + "x" * 47,
        "Basic",
        "Basic !!",
        "Basic YWRh",
        "Digest x",
    ],
)
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_malformed_credentials_are_refused_not_ignored(accounts: Accounts, header: str) -> None:
    with pytest.raises(AccessDenied) as caught:
        await accounts.logins.load_actor(header, HERE)
    assert caught.value.code == "bad-credentials"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_no_credentials_are_nobody(accounts: Accounts) -> None:
    assert await accounts.logins.load_actor(None, HERE) == ANONYMOUS


async def test_a_disabled_user_is_shut_out_until_enabled(accounts: Accounts) -> None:
    user = await accounts.users.create("ada", password=PASSWORD)
    token = await accounts.tokens.issue(user.id)
    assert (await accounts.users.disable("ada")).disabled_at is not None
    for header in (f"Bearer {token.secret}", basic("ada", PASSWORD)):
        with pytest.raises(AccessDenied):
            await accounts.logins.load_actor(header, HERE)
    assert (await accounts.users.enable("ada")).disabled_at is None
    assert (await accounts.logins.load_actor(f"Bearer {token.secret}", HERE)).name == "ada"


async def test_a_new_password_ends_every_token(accounts: Accounts) -> None:
    user = await accounts.users.create("ada", password=PASSWORD)
    token = await accounts.tokens.issue(user.id)
    await accounts.users.set_password("ada", "another horse")
    with pytest.raises(AccessDenied):
        await accounts.logins.load_actor(f"Bearer {token.secret}", HERE)
    with pytest.raises(AccessDenied):
        await accounts.logins.check_password("ada", PASSWORD, HERE)
    assert (await accounts.logins.check_password("ada", "another horse", HERE)).name == "ada"


# --- limits on failed logins


@pytest.fixture
def strict(
    make_settings: Callable[..., Settings], database_url: str, database: Database, clock: TickingClock
) -> Accounts:
    """Three failures for a name from one address, seven from all, five from an address, in one minute."""
    settings = make_settings(
        database_url=database_url,
        login_window_s=60,
        login_max_failures_per_user=3,
        login_max_failures_per_user_anywhere=7,
        login_max_failures_per_address=5,
    )
    return open_accounts(database, settings, clock)


async def fail_login(accounts: Accounts, name: str, address: str) -> None:
    with pytest.raises(AccessDenied):
        await accounts.logins.check_password(name, "wrong password", address)


async def test_a_name_waits_after_too_many_failures(strict: Accounts, clock: TickingClock) -> None:
    await strict.users.create("ada", password=PASSWORD)
    for _ in range(3):
        await fail_login(strict, "ada", HERE)
        clock.advance(seconds=10)
    with pytest.raises(LimitReached) as caught:
        await strict.logins.check_password("ada", PASSWORD, HERE)
    assert caught.value.code == "too-many-attempts"
    assert caught.value.details == {"retry_after_s": 30}
    clock.advance(seconds=31)
    assert (await strict.logins.check_password("ada", PASSWORD, HERE)).name == "ada"


async def test_a_stranger_elsewhere_does_not_lock_the_owner_out(strict: Accounts) -> None:
    await strict.users.create("ada", password=PASSWORD)
    for _ in range(3):
        await fail_login(strict, "ada", "192.0.2.66")
    with pytest.raises(LimitReached):
        await strict.logins.check_password("ada", PASSWORD, "192.0.2.66")
    assert (await strict.logins.check_password("ada", PASSWORD, HERE)).name == "ada"


async def test_guesses_from_everywhere_are_limited_together(strict: Accounts) -> None:
    await strict.users.create("ada", password=PASSWORD)
    for number in range(7):
        await fail_login(strict, "ada", f"192.0.2.{number}")
    with pytest.raises(LimitReached):
        await strict.logins.check_password("ada", PASSWORD, HERE)


async def test_guesses_at_the_same_time_are_limited_as_those_one_by_one(strict: Accounts) -> None:
    await strict.users.create("ada", password=PASSWORD)
    guesses = [strict.logins.check_password("ada", "wrong password", HERE) for _ in range(12)]
    refused = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(error, AccessDenied) for error in refused) == 3
    assert sum(isinstance(error, LimitReached) for error in refused) == 9


async def test_right_passwords_at_the_same_time_are_not_limited(strict: Accounts) -> None:
    await strict.users.create("ada", password=PASSWORD)
    await fail_login(strict, "ada", HERE)
    for _ in range(6):
        await strict.logins.check_password("ada", PASSWORD, HERE)
    logins = [strict.logins.check_password("ada", PASSWORD, HERE) for _ in range(8)]
    assert {user.name for user in await asyncio.gather(*logins)} == {"ada"}


async def test_key_logins_at_the_same_time_are_limited(strict: Accounts) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
    guesses = [strict.logins.check_key(key, "00" * 56, "00" * 64, HERE) for _ in range(9)]
    refused = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(error, AccessDenied) for error in refused) == 5


async def test_an_address_waits_after_too_many_failures_others_do_not(strict: Accounts) -> None:
    await strict.users.create("ada", password=PASSWORD)
    for number in range(5):
        await fail_login(strict, f"guess{number}", HERE)
    with pytest.raises(LimitReached):
        await strict.logins.check_password("ada", PASSWORD, HERE)
    assert (await strict.logins.check_password("ada", PASSWORD, "192.0.2.99")).name == "ada"


async def test_a_success_forgets_the_failures_of_that_name(strict: Accounts) -> None:
    await strict.users.create("ada", password=PASSWORD)
    for _ in range(2):
        for _ in range(2):
            await fail_login(strict, "ada", HERE)
        await strict.logins.check_password("ada", PASSWORD, HERE)


async def test_failed_key_logins_count_against_the_address(strict: Accounts) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
    for _ in range(5):
        with pytest.raises(AccessDenied):
            await strict.logins.check_key(key, "00" * 56, "00" * 64, HERE)
    with pytest.raises(LimitReached):
        await strict.logins.check_key(key, "00" * 56, "00" * 64, HERE)


# --- keys


class Signer:
    """A client with a key."""

    def __init__(self, seed: int) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = self.private.public_key().public_bytes_raw().hex()

    def answer(self, hub: str, challenge: str) -> str:
        return self.private.sign(challenge_message(hub, challenge)).hex()


async def test_a_key_logs_its_owner_in_once_per_challenge(accounts: Accounts) -> None:
    signer = Signer(1)
    user = await accounts.users.create("ada")
    await accounts.keys.add(user.id, "ed25519:" + signer.public, "laptop")
    given = await accounts.keys.make_challenge(signer.public)
    assert given.hub == "http://hub.test"
    answer = signer.answer(given.hub, given.challenge)
    assert (await accounts.logins.check_key(signer.public, given.challenge, answer, HERE)).name == "ada"
    with pytest.raises(AccessDenied) as caught:
        await accounts.logins.check_key(signer.public, given.challenge, answer, HERE)
    assert "used before" in caught.value.message


async def test_what_does_not_prove_a_key(accounts: Accounts, clock: TickingClock) -> None:
    signer, other = Signer(1), Signer(2)
    user = await accounts.users.create("ada")
    await accounts.keys.add(user.id, signer.public)
    given = await accounts.keys.make_challenge(signer.public)
    right = signer.answer(given.hub, given.challenge)
    tampered = given.challenge[:-2] + ("00" if given.challenge[-2:] != "00" else "01")
    for key, challenge, signature in (
        (signer.public, given.challenge, other.answer(given.hub, given.challenge)),
        (signer.public, given.challenge, signer.answer("http://evil.test", given.challenge)),
        (other.public, given.challenge, other.answer(given.hub, given.challenge)),
        (signer.public, tampered, signer.answer(given.hub, tampered)),
        (signer.public, "", signer.answer(given.hub, "")),
        (signer.public, given.challenge, ""),
    ):
        with pytest.raises(AccessDenied):
            await accounts.keys.verify_answer(key, challenge, signature)
    clock.advance(seconds=60)
    with pytest.raises(AccessDenied) as caught:
        await accounts.keys.verify_answer(signer.public, given.challenge, right)
    assert "expired" in caught.value.message


async def test_a_key_that_nobody_has_gets_a_challenge_but_no_login(accounts: Accounts) -> None:
    signer = Signer(3)
    given = await accounts.keys.make_challenge(signer.public)
    with pytest.raises(AccessDenied):
        await accounts.keys.verify_answer(
            signer.public, given.challenge, signer.answer(given.hub, given.challenge)
        )


async def test_a_revoked_key_logs_nobody_in_and_cannot_come_back(accounts: Accounts) -> None:
    signer = Signer(1)
    user = await accounts.users.create("ada")
    other = await accounts.users.create("ben")
    key = await accounts.keys.add(user.id, signer.public)
    with pytest.raises(NotFound):
        await accounts.keys.revoke(other.id, key.id)
    await accounts.keys.revoke(user.id, key.id)
    assert await accounts.keys.list(user.id) == []
    given = await accounts.keys.make_challenge(signer.public)
    with pytest.raises(AccessDenied):
        await accounts.keys.verify_answer(
            signer.public, given.challenge, signer.answer(given.hub, given.challenge)
        )
    with pytest.raises(Conflict):
        await accounts.keys.add(other.id, signer.public)


async def test_processes_share_the_hubs_secrets(
    accounts: Accounts, database: Database, clock: TickingClock
) -> None:
    made = await asyncio.gather(*(get_secret(database, "urls", clock()) for _ in range(5)))
    assert len(set(made)) == 1
    assert len(made[0]) == 32
    assert await get_secret(database, "other", clock()) != made[0]


async def test_an_ipv6_network_has_as_many_attempts_as_one_address(strict: Accounts) -> None:
    for number in range(5):
        await fail_login(strict, f"name-{number}", f"2001:db8:1:2::{number + 1:x}")
    with pytest.raises(LimitReached):
        await strict.logins.check_password("ada", PASSWORD, "2001:db8:1:2:ffff::9")
    await fail_login(strict, "ada", "2001:db8:1:3::1")
