"""A repository's policy about signatures: which commits and tags a push may bring.

A signature that does not verify is refused whatever the policy (`musehub.push.decode`). What the policy adds
is asked twice: of everything that arrives, so that a refusal comes early, and of everything that becomes
reachable, because commits may have been recorded by a push that died before the policy was set or a key
revoked.
"""

from __future__ import annotations

from collections.abc import Iterable

from muse.errors import AccessDenied
from muse.objects.commit import decode_tag
from muse.objects.ids import Kind
from muse.wire.push import PushHeader
from musehub.db.engine import Database
from musehub.db.history import find_generations, find_signers
from musehub.db.keys import list_writer_keys
from musehub.db.refs import list_targets
from musehub.db.repositories import RepositoryRow
from musehub.db.state import KNOWN, NONE
from musehub.repos.objects import ObjectReader
from musehub.repos.reach import find_reach

Signed = tuple[bytes, bytes | None]
"""An object's id and the key that signed it."""


class SignerPolicy:
    """The policy of one repository at the beginning of a push."""

    def __init__(self, policy: str, keys: frozenset[bytes]) -> None:
        self.policy = policy
        self._keys = keys

    def check(self, kind: Kind, objects: Iterable[Signed]) -> None:
        """Raise `signature-required` or `unknown-signer`, naming the first object that may not come in."""
        if self.policy == NONE:
            return
        for object_id, key in objects:
            if key is None:
                raise _refuse("signature-required", kind, object_id, "is not signed")
            if self.policy == KNOWN and key not in self._keys:
                raise _refuse(
                    "unknown-signer",
                    kind,
                    object_id,
                    f"is signed by {key.hex()}, which is nobody's who may write",
                )


async def load_policy(database: Database, repository: RepositoryRow) -> SignerPolicy:
    """The policy, with the keys of everybody who may write now: revoked ones and disabled users left out."""
    keys: frozenset[bytes] = frozenset()
    if repository.signatures == KNOWN:
        async with database.read("list writer keys") as conn:
            keys = frozenset(await list_writer_keys(conn, repository.id))
    return SignerPolicy(repository.signatures, keys)


async def check_reachable(
    database: Database,
    reader: ObjectReader,
    repository: RepositoryRow,
    policy: SignerPolicy,
    header: PushHeader,
) -> None:
    """Check all that the targets reach and no ref reaches yet."""
    if policy.policy == NONE:
        return
    commits = {update.new for update in header.updates if update.new and update.kind is Kind.COMMIT}
    tags = {update.new for update in header.updates if update.new and update.kind is Kind.TAG}
    async with database.read("load refs") as conn:
        had = set(await list_targets(conn, repository.id, Kind.COMMIT))
        old_tags = set(await list_targets(conn, repository.id, Kind.TAG))
    had |= await _follow(reader, old_tags, None)
    commits |= await _follow(reader, tags - old_tags, policy)
    async with database.read("find targets") as conn:
        wants = await find_generations(conn, repository.id, sorted(commits - had))
        haves = await find_generations(conn, repository.id, sorted(had))
    found = (await find_reach(database, repository.id, wants, haves)).commits
    for start in range(0, len(found), 10_000):
        async with database.read("find signers") as conn:
            signers = await find_signers(conn, repository.id, found[start : start + 10_000])
        policy.check(Kind.COMMIT, sorted(signers.items()))


async def _follow(reader: ObjectReader, tags: set[bytes], policy: SignerPolicy | None) -> set[bytes]:
    """The commits that tags name in the end; the tags themselves are checked on the way."""
    commits: set[bytes] = set()
    seen: set[bytes] = set()
    while tags:
        seen |= tags
        loaded = await reader.load_many(Kind.TAG, sorted(tags))
        tags = set()
        for tag_id, data in loaded.items():
            tag = decode_tag(data)
            if policy is not None:
                policy.check(Kind.TAG, [(tag_id, tag.signature.key if tag.signature else None)])
            if tag.target_kind is Kind.COMMIT:
                commits.add(tag.target)
            elif tag.target_kind is Kind.TAG and tag.target not in seen:
                tags.add(tag.target)
    return commits


def _refuse(code: str, kind: Kind, object_id: bytes, why: str) -> AccessDenied:
    name = kind.name.lower()
    return AccessDenied(
        code,
        f"the repository takes only what somebody known has signed: {name} {object_id.hex()} {why}"
        if code == "unknown-signer"
        else f"the repository takes only what is signed: {name} {object_id.hex()} {why}",
        hint="sign it (`muse auth keygen`), and add the key to your account on the hub",
        details={"kind": name, "id": object_id.hex()},
    )
