"""`muse auth`."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from muse.errors import AccessDenied, NotFound, UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.remote.address import Origin
    from muse.remote.credentials import Credential

EXAMPLE = """muse auth keygen
muse auth login http://127.0.0.1:1337 --user ada
muse auth whoami"""
JSON = """login: {"hub": "http://127.0.0.1:1337", "user": "ada", "expires_at": "…"}
logout: {"hub": "…", "user": "ada", "revoked": true}
whoami: {"hub": "…", "user": "ada", "scope": "admin", "is_admin": false}
keygen: {"path": "/home/ada/.config/muse/key.pem", "public_key": "<64 hex>", "hub": null or "…"}"""


def configure(parser: Parser) -> None:
    login = parser.subcommand(
        "login", "get and keep a token for a hub", "muse auth login http://127.0.0.1:1337 --user ada"
    )
    _add_hub(login)
    login.add_argument("-u", "--user", metavar="NAME", help="your name there")
    how = login.add_mutually_exclusive_group()
    how.add_argument("--password-stdin", action="store_true", help="read the password from stdin")
    how.add_argument("--key", action="store_true", help="prove your key instead of a password")
    how.add_argument(
        "--token-stdin", action="store_true", help="keep a token, read from stdin, that you have"
    )
    login.add_argument("--scope", choices=("read", "write", "admin"), default="admin", help="default: admin")
    logout = parser.subcommand("logout", "revoke and forget the token", "muse auth logout")
    whoami = parser.subcommand("whoami", "say who you are to a hub", "muse auth whoami")
    for sub in (logout, whoami):
        _add_hub(sub)
    keygen = parser.subcommand(
        "keygen", "make your Ed25519 key", "muse auth keygen --register http://127.0.0.1:1337"
    )
    keygen.add_argument(
        "path", metavar="FILE", nargs="?", help="where to (default: key.pem beside your settings)"
    )
    keygen.add_argument("--register", metavar="HUB", help="tell this hub that the key is yours")


def _add_hub(parser: Parser) -> None:
    parser.add_argument(
        "hub", metavar="HUB", nargs="?", help="address or remote (default: that of this repository)"
    )


def run(context: Context, options: Namespace) -> None:
    actions = {"login": _login, "logout": _logout, "whoami": _whoami, "keygen": _keygen}
    actions[options.subcommand](context, options)


def find_origin(context: Context, named: str | None) -> Origin:
    """Return the hub that is meant: by address, by remote, or the one of this repository."""
    from muse.remote.address import parse_hub_url, parse_url
    from muse.remote.state import get_remote_url
    from muse.store.tracking import default_remote

    if named is not None and "://" in named:
        return parse_url(named)[0] if named.count("/") > 3 else parse_hub_url(named)
    try:
        return get_remote_url(context.repository, named or default_remote(context.repository)).origin
    except NotFound as error:
        if named is not None:
            if error.code == "unknown-remote" and (":" in named or "." in named):
                error.hint = f"an address of a hub begins with its scheme: http://{named}"
            raise
    raise UsageError("bad-arguments", "say which hub", hint="for example http://127.0.0.1:1337")


def _login(context: Context, options: Namespace) -> None:
    from muse.remote.auth import load_identity
    from muse.remote.client import HubClient
    from muse.remote.credentials import Credential, CredentialFile, credentials_path

    origin = find_origin(context, options.hub)
    if options.token_stdin:
        token = _read_line("token")
        with HubClient(origin, token) as hub:
            credential = Credential(load_identity(hub).user, token)
    else:
        with HubClient(origin) as hub:
            credential = _log_in(context, options, hub)
    CredentialFile(credentials_path(context.config_path)).store(origin, credential)
    context.output.say(f'logged in to {origin} as "{credential.user}"')
    context.output.document(
        {"hub": str(origin), "user": credential.user, "expires_at": credential.expires_at or None}
    )


def _log_in(context: Context, options: Namespace, hub: Any) -> Credential:
    from muse.remote.auth import load_key, log_in_with_key, log_in_with_password

    label = f"muse on {context.host_name}"
    if options.key:
        from muse.cli.signing import key_path

        return log_in_with_key(hub, load_key(key_path(context)), label=label, scope=options.scope)
    user = options.user or _ask("user: ", "--user")
    if options.password_stdin:
        password = _read_line("password")
    else:
        password = _ask("password: ", "--password-stdin", secret=True)
    return log_in_with_password(hub, user, password, label=label, scope=options.scope)


def _read_line(what: str) -> str:
    """Read a secret; somebody who types it is asked, and it is not shown."""
    from muse.cli.output import is_terminal

    if is_terminal(sys.stdin):
        line = _ask(f"{what}: ", f"--{what}-stdin", secret=True)
    else:
        line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise UsageError("bad-arguments", f"the {what} on stdin is empty")
    return line


def _ask(prompt: str, option: str, secret: bool = False) -> str:
    from muse.cli.output import is_terminal

    if not is_terminal(sys.stdin):
        raise UsageError(
            "bad-arguments", f"there is no terminal to ask on for the {prompt[:-2]}", hint=f"use {option}"
        )
    if secret:
        from getpass import getpass

        return getpass(prompt)
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _logout(context: Context, options: Namespace) -> None:
    from muse.remote.auth import log_out
    from muse.remote.client import HubClient
    from muse.remote.credentials import CredentialFile, credentials_path

    origin = find_origin(context, options.hub)
    file = CredentialFile(credentials_path(context.config_path))
    credential = file.find(origin)
    if credential is None:
        raise AccessDenied("not-logged-in", f'you are not logged in to "{origin}"')
    revoked = True
    try:
        with HubClient(origin, credential.token) as hub:
            log_out(hub)
    except AccessDenied:
        pass  # it was not valid any more
    file.remove(origin)
    context.output.say(f"logged out of {origin}")
    context.output.document({"hub": str(origin), "user": credential.user, "revoked": revoked})


def _whoami(context: Context, options: Namespace) -> None:
    from muse.remote.auth import load_identity

    origin = find_origin(context, options.hub)
    with context.hub(origin) as hub:
        who = load_identity(hub)
    context.output.write(
        f'"{who.user}" at {origin}, scope {who.scope}{", administrator" if who.is_admin else ""}'
    )
    context.output.document(
        {"hub": str(origin), "user": who.user, "scope": who.scope, "is_admin": who.is_admin}
    )


def _keygen(context: Context, options: Namespace) -> None:
    from muse.cli.signing import key_path
    from muse.remote.auth import add_key, generate_key

    path = context.directory / options.path if options.path else key_path(context)
    public_key = generate_key(path)
    origin = None
    context.output.say(f'made the key "{path}"')
    if options.register:
        origin = find_origin(context, options.register)
        with context.hub(origin) as hub:
            add_key(hub, public_key, f"muse on {context.host_name}")
        context.output.say(f"{origin} knows it as yours")
    context.output.write(f"public key: {public_key.hex()}")
    context.output.document(
        {"path": str(path), "public_key": public_key.hex(), "hub": str(origin) if origin else None}
    )
