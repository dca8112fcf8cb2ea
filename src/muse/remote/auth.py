"""Who one is to a hub: logging in with a password or a key, out, and making keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from muse.errors import AccessDenied, Conflict, NotFound, RemoteFailure, UsageError
from muse.remote.address import parse_hub_url
from muse.remote.client import HubClient
from muse.remote.credentials import Credential, write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

AUTH = "/api/v1/auth"
SCOPE = "admin"
"""A login may do what its user may do; narrower tokens are made on purpose."""
_MESSAGE_HEADER = b"muse key login 1\n"


class Identity(NamedTuple):
    """Who a token stands for and what it may be used for (`read`, `write`, `admin`)."""

    user: str
    scope: str
    is_admin: bool


def log_in_with_password(
    hub: HubClient, user: str, password: str, *, label: str = "", scope: str = SCOPE
) -> Credential:
    """Get a token for a password; raises `bad-credentials`, `too-many-attempts`. Tried once."""
    return _log_in(hub, {"user": user, "password": password, "label": label, "scope": scope})


def log_in_with_key(
    hub: HubClient, key: Ed25519PrivateKey, *, label: str = "", scope: str = SCOPE
) -> Credential:
    """Get a token by signing the hub's challenge; raises `bad-credentials`.

    What is signed names the hub's address. It must be the one spoken to: otherwise somebody in between could
    have another hub's challenge signed.
    """
    public_key = key.public_key().public_bytes_raw().hex()
    answer = hub.load_json("POST", f"{AUTH}/challenge", {"public_key": public_key})
    challenge, named = answer.get("challenge"), answer.get("hub")
    if not isinstance(challenge, str) or not isinstance(named, str):
        raise RemoteFailure("remote-error", "the hub's challenge cannot be read")
    if not named or parse_hub_url(named) != hub.origin:
        raise AccessDenied(
            "bad-credentials",
            f'"{hub.origin}" asks for a signature that is good for "{named}"',
            hint=f"use the hub's own address, {named}, if that is the hub you mean",
        )
    signature = key.sign(challenge_message(named, challenge)).hex()
    return _log_in(
        hub,
        {
            "public_key": public_key,
            "challenge": challenge,
            "signature": signature,
            "label": label,
            "scope": scope,
        },
    )


def challenge_message(hub: str, challenge: str) -> bytes:
    """Return the bytes that prove a key to `hub`."""
    return _MESSAGE_HEADER + hub.encode() + b"\n" + challenge.encode()


def _log_in(hub: HubClient, request: dict[str, Any]) -> Credential:
    answer = hub.load_json_once("POST", f"{AUTH}/token", request)
    user, token = answer.get("user"), answer.get("token")
    if isinstance(user, dict) and isinstance(token, dict):
        name, secret = user.get("name"), token.get("secret")
        if isinstance(name, str) and isinstance(secret, str):
            return Credential(name, secret, str(token.get("expires_at", "")))
    raise RemoteFailure("remote-error", "the hub's answer to the login cannot be read")


def log_out(hub: HubClient) -> None:
    """Revoke the token that `hub` was given."""
    hub.load_json("DELETE", f"{AUTH}/token")


def load_identity(hub: HubClient) -> Identity:
    """Ask the hub who the token stands for; raises `not-logged-in`, `token-expired`, `token-revoked`."""
    answer = hub.load_json("GET", f"{AUTH}/whoami")
    user = answer.get("user")
    if not isinstance(user, dict) or not isinstance(user.get("name"), str):
        raise RemoteFailure("remote-error", "the hub's answer cannot be read")
    return Identity(user["name"], str(answer.get("scope", "")), bool(user.get("is_admin", False)))


def add_key(hub: HubClient, public_key: bytes, label: str = "") -> None:
    """Register a public key with the account that is logged in, to log in and to sign with."""
    hub.load_json_once("POST", "/api/v1/keys", {"public_key": public_key.hex(), "label": label})


def generate_key(path: Path) -> bytes:
    """Make an Ed25519 key: PEM in `path`, mode 0600; returns the public half, which is also written beside it
    as hex.

    Raises `already-exists` rather than replace a key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        write_private(path, pem, replace=False)
    except FileExistsError:
        raise Conflict(
            "already-exists", f'"{path}" exists already', hint="a key is never replaced; choose another name"
        ) from None
    write_private(path.with_name(path.name + ".pub"), f"{public.hex()}\n".encode(), replace=True)
    return public


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key; raises `key-not-found`, `bad-arguments`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(
            "key-not-found",
            f'there is no key "{path}": {error.strerror}',
            hint="`muse auth keygen` makes one",
        ) from None
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("bad-arguments", f'"{path}" is not an Ed25519 private key without a passphrase')
    return key
