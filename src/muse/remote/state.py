"""What the local repository knows of a remote: its address, its refs when last seen, its limits, a push under
way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from muse.errors import InvalidData, NotFound
from muse.remote.address import RepositoryUrl, parse_repository_url
from muse.wire.push import PUSH_ID_BYTES
from muse.wire.refs import Limits, Ref, parse_limits

if TYPE_CHECKING:
    from muse.store.repository import Repository
    from muse.store.transaction import Transaction

LIMITS = "limits"


def get_remote_url(repository: Repository, remote: str) -> RepositoryUrl:
    """Return the address of a configured remote; raises `unknown-remote`, `bad-arguments`."""
    url = repository.settings.get(f"remote.{remote}.url")
    if not url:
        raise NotFound(
            "unknown-remote",
            f'there is no remote "{remote}"',
            hint=f"give it a name first: `muse remote add origin {remote}`"
            if "://" in remote
            else f"`muse remote add {remote} http://HOST:PORT/OWNER/NAME` adds it",
        )
    return parse_repository_url(url)


def get_wanted_refs(repository: Repository, remote: str) -> list[str]:
    """Return what is fetched where nothing is named; empty stands for everything.

    It is the setting `remote.NAME.refs`: branches and tags with spaces between them.
    """
    return (repository.settings.get(f"remote.{remote}.refs") or "").split()


def tracking_prefix(remote: str) -> str:
    return f"remotes/{remote}/"


def load_tracking_refs(repository: Repository, remote: str) -> dict[str, Ref]:
    """Return the refs of the remote as last seen, by their names there (`heads/main`)."""
    prefix = tracking_prefix(remote)
    return {ref.name.removeprefix(prefix): Ref(ref.target, ref.kind) for ref in repository.refs.iter(prefix)}


def load_tracking_targets(repository: Repository, remote: str) -> list[Ref]:
    """Return what the remote's refs pointed at when last seen, each once."""
    return [Ref(target, kind) for kind, target in repository.refs.load_targets(tracking_prefix(remote))]


def find_tracking_refs(repository: Repository, remote: str, names: Iterable[str]) -> dict[str, Ref]:
    """Return those of the remote's refs with these names there that were seen."""
    prefix = tracking_prefix(remote)
    found = repository.refs.find_many([prefix + name for name in names])
    return {name.removeprefix(prefix): Ref(ref.target, ref.kind) for name, ref in found.items()}


def save_tracking_refs(
    transaction: Transaction, remote: str, before: dict[str, Ref], after: dict[str, Ref]
) -> None:
    """Write what differs; the targets of `after` must be here."""
    prefix = tracking_prefix(remote)
    for name, ref in after.items():
        if before.get(name) != ref:
            transaction.set_ref(prefix + name, ref.target, kind=ref.kind)
    for name in before.keys() - after.keys():
        transaction.set_ref(prefix + name, None)


def load_limits(repository: Repository, remote: str) -> Limits:
    """Return the limits that the hub last told, or the usual ones."""
    text = repository.remotes.get(remote, LIMITS)
    try:
        return parse_limits(json.loads(text)) if text else Limits()
    except (ValueError, InvalidData):
        return Limits()


def save_limits(repository: Repository, remote: str, limits: Limits, transaction: Transaction) -> None:
    """Remember what the hub told, if it is news."""
    if load_limits(repository, remote) != limits:
        repository.remotes.set(remote, LIMITS, json.dumps(limits.to_json()), transaction)


def find_open_push(repository: Repository, remote: str) -> bytes | None:
    """Return the id of a push that was begun and whose result is not known."""
    try:
        push_id = bytes.fromhex(repository.remotes.get_open_push(remote) or "")
    except ValueError:
        return None
    return push_id if len(push_id) == PUSH_ID_BYTES else None
