"""Looks for everything that can be wrong with a repository; changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from muse.errors import MuseError
from muse.objects.commit import decode_commit
from muse.objects.ids import Kind
from muse.objects.references import iter_references
from musehub.db.blobs import BlobRow, load_blob_rows
from musehub.db.bulk import find_present
from musehub.db.checks import (
    Key,
    list_baseless_blobs,
    list_commits_without_record,
    list_missing,
    load_commit_rows,
)
from musehub.db.condemned import find_unnamed_digests
from musehub.db.engine import Database
from musehub.db.history import find_generations
from musehub.db.objects import find_present_objects
from musehub.db.packs import find_pack
from musehub.db.refs import list_refs
from musehub.db.state import load_state
from musehub.db.stored import sum_stored
from musehub.db.sweep import PackFacts, iter_blob_rows, iter_record_places, list_pack_facts
from musehub.db.tables import records
from musehub.push.commits import derive_commit_rows
from musehub.repos.objects import ObjectReader, record_size
from musehub.storage.port import Store, pack_key, parse_pack_key
from musehub.upkeep.marks import Marks

READ_AT_ONCE = 500
READ_BYTES = 16 << 20
HEADS_AT_ONCE = 16

PACK_MISSING = "pack-missing"
PACK_DAMAGED = "pack-damaged"
OBJECT_DAMAGED = "object-damaged"
OBJECT_MISSING = "object-missing"
REF_BROKEN = "ref-broken"
COMMIT_ROW_WRONG = "commit-row-wrong"
TOTALS_WRONG = "totals-wrong"


class Problem(NamedTuple):
    """`what` is one of the names above, `where` an object (`tree 12ab…`), pack or ref."""

    what: str
    where: str
    detail: str


class Check:
    """One check of one repository: `run` fills in what is wrong. Close `marks` afterwards."""

    def __init__(self, database: Database, store: Store, repository_id: int) -> None:
        self._database = database
        self._store = store
        self._id = repository_id
        self._reader = ObjectReader(database, store, repository_id)
        self.marks = Marks()
        self.problems: list[Problem] = []
        self.packs: list[PackFacts] = []
        self.broken_packs: list[PackFacts] = []
        self.broken_records: set[Key] = set()
        self.missing: set[Key] = set()
        self.wrong_totals = False
        self.records = self.blobs = self.orphans = 0

    def _add(self, what: str, where: str, detail: str) -> None:
        self.problems.append(Problem(what, where, detail))

    async def run(self, *, deep: bool) -> None:
        async with self._database.read("begin check") as conn:
            self.packs = await list_pack_facts(conn, self._id)
            known_missing = await list_missing(conn, self._id)
        self.missing = {(Kind(row.kind), row.id) for row in known_missing}
        for row in known_missing:
            self._add(
                OBJECT_MISSING,
                name_of(Kind(row.kind), row.id),
                f"known since {row.found_at:%Y-%m-%d %H:%M}; waits for a push that brings it back",
            )
        await self._check_packs(deep=deep)
        await self._check_records()
        await self._check_blobs(deep=deep)
        await self._check_refs()
        await self._check_totals()
        await self._count_orphans()

    # ---- packs and blobs

    async def _check_packs(self, *, deep: bool) -> None:
        for start in range(0, len(self.packs), HEADS_AT_ONCE):
            batch = self.packs[start : start + HEADS_AT_ONCE]
            found = await asyncio.gather(*(self._find_damage(pack, deep=deep) for pack in batch))
            for pack, damage in zip(batch, found, strict=True):
                if damage is not None and await self._is_recorded(pack):
                    self.broken_packs.append(pack)
                    self._add(*damage)

    async def _find_damage(self, pack: PackFacts, *, deep: bool) -> Problem | None:
        key = pack_key(self._id, pack.digest)
        lying = await self._store.head(key)
        if lying is None:
            return Problem(PACK_MISSING, f"pack {pack.digest.hex()}", f"the store has no {key}")
        if lying.size_bytes != pack.size_bytes:
            return Problem(
                PACK_DAMAGED,
                f"pack {pack.digest.hex()}",
                f"{lying.size_bytes} bytes in the store, {pack.size_bytes} were recorded",
            )
        if deep:
            async with self._store.open(key) as view:
                digest = await asyncio.to_thread(lambda: hashlib.sha256(view).digest())
            if digest != pack.digest:
                return Problem(PACK_DAMAGED, f"pack {pack.digest.hex()}", "its bytes have another SHA-256")
        return None

    async def _is_recorded(self, pack: PackFacts) -> bool:
        """Whether a clean-up has not taken it away meanwhile."""
        async with self._database.read("look again") as conn:
            return await find_pack(conn, self._id, pack.digest) is not None

    async def _check_blobs(self, *, deep: bool) -> None:
        async with self._database.read("find baseless blobs") as conn:
            for object_id in await list_baseless_blobs(conn, self._id):
                self._add(
                    OBJECT_DAMAGED, name_of(Kind.BLOB, object_id), "its pack or its base is not recorded"
                )
                self.missing.add((Kind.BLOB, object_id))
        broken = {pack.id for pack in self.broken_packs}
        async for page in iter_blob_rows(self._database, self._id):
            self.blobs += len(page)
            if deep:
                readable = [row for row in page if row.pack_id not in broken]
                sizes = map(record_size, readable)
                await asyncio.to_thread(self.marks.add_blobs, readable, sizes, [True] * len(readable))
        if deep:
            for pack in self.packs:
                if pack.id not in broken:
                    await self._read_blobs(pack)

    async def _read_blobs(self, pack: PackFacts) -> None:
        ids = await asyncio.to_thread(self.marks.list_live_in, pack.id)
        async with self._database.read("load blobs") as conn:
            rows = await load_blob_rows(conn, self._id, ids)
        rows.sort(key=lambda row: row.offset)
        for batch in _cut(rows):
            for object_id, detail in (await self._read(Kind.BLOB, [row.id for row in batch]))[1].items():
                self._add(OBJECT_DAMAGED, name_of(Kind.BLOB, object_id), detail)
                if pack not in self.broken_packs:
                    self.broken_packs.append(pack)

    async def _read(self, kind: Kind, ids: list[bytes]) -> tuple[dict[bytes, bytes], dict[bytes, str]]:
        """The objects that can be read, and what is wrong with the others."""
        try:
            return await self._reader.load_many(kind, ids), {}
        except MuseError:
            pass
        good: dict[bytes, bytes] = {}
        bad: dict[bytes, str] = {}
        for object_id in ids:
            try:
                good[object_id] = await self._reader.load(kind, object_id)
            except MuseError as error:
                if error.retry:
                    raise  # the store is away: that says nothing about the object
                async with self._database.read("look again") as conn:
                    if await find_present_objects(conn, self._id, kind, [object_id]):
                        bad[object_id] = error.message
        return good, bad

    # ---- records

    async def _check_records(self) -> None:
        async for page in iter_record_places(self._database, self._id):
            self.records += len(page)
            await asyncio.to_thread(self.marks.add_records, page, [False] * len(page))
        # In this order bases are near what stands on them.
        last = 0
        while batch := await asyncio.to_thread(self.marks.list_records, last, READ_AT_ONCE):
            last = batch[-1][0]
            for kind in sorted({of for _position, of, _id in batch}):
                await self._check_batch(Kind(kind), [object_id for _at, of, object_id in batch if of == kind])
        async with self._database.read("find commits without record") as conn:
            for object_id in await list_commits_without_record(conn, self._id):
                self._add(COMMIT_ROW_WRONG, name_of(Kind.COMMIT, object_id), "there is a row, but no commit")

    async def _check_batch(self, kind: Kind, ids: list[bytes]) -> None:
        async with self._database.read("find records") as conn:
            there = await find_present(conn, records, ids, {"repository_id": self._id, "kind": int(kind)})
        good, bad = await self._read(kind, [object_id for object_id in ids if object_id in there])
        for object_id, detail in bad.items():
            self._add(OBJECT_DAMAGED, name_of(kind, object_id), detail)
            self.broken_records.add((kind, object_id))
        named: dict[Kind, set[bytes]] = {}
        for data in good.values():
            for of, object_id in iter_references(kind, data):
                named.setdefault(of, set()).add(object_id)
        for of, wanted in named.items():
            async with self._database.read("check closure") as conn:
                absent = wanted - await find_present_objects(conn, self._id, of, wanted)
                still = await find_present_objects(conn, self._id, kind, sorted(good)) if absent else set()
            for holder, data in good.items() if absent else ():
                for key in iter_references(kind, data):
                    if key[0] is of and key[1] in absent and key not in self.missing and holder in still:
                        self.missing.add(key)
                        self._add(
                            OBJECT_MISSING,
                            name_of(*key),
                            f"the {name_of(kind, holder)} names it, it is not there",
                        )
        if kind is Kind.COMMIT:
            await self._compare_commits(good)

    async def _compare_commits(self, objects: dict[bytes, bytes]) -> None:
        decoded = {object_id: decode_commit(data) for object_id, data in objects.items()}
        parents = sorted({parent for commit in decoded.values() for parent in commit.parents})
        async with self._database.read("load commits") as conn:
            rows, edges = await load_commit_rows(conn, self._id, sorted(decoded))
            generations = await find_generations(conn, self._id, parents)
            still = await find_present_objects(conn, self._id, Kind.COMMIT, sorted(decoded))
        for object_id, commit in decoded.items():
            if object_id not in still or any(parent not in generations for parent in commit.parents):
                continue
            _generation, row, parents_rows = derive_commit_rows(self._id, object_id, commit, generations)
            if rows.get(object_id) != row:
                self._add(COMMIT_ROW_WRONG, name_of(Kind.COMMIT, object_id), "its row says something else")
            elif edges.get(object_id, []) != parents_rows:
                self._add(COMMIT_ROW_WRONG, name_of(Kind.COMMIT, object_id), "its parents' rows are wrong")

    async def _check_refs(self) -> None:
        async with self._database.read("check refs") as conn:
            refs = await list_refs(conn, self._id)
            for kind in Kind:
                targets = sorted({ref.target for ref in refs.values() if ref.kind is kind})
                absent = set(targets) - await find_present_objects(conn, self._id, kind, targets)
                for name, ref in refs.items():
                    if ref.kind is kind and ref.target in absent:
                        self._add(REF_BROKEN, name, f"{name_of(kind, ref.target)} is not there")
                        self.missing.add((kind, ref.target))

    async def _check_totals(self) -> None:
        async with self._database.read("check totals") as conn:
            state = await load_state(conn, self._id)
            counted = (await sum_stored(conn, self._id)).totals
        if state is not None and (state.stored_bytes, state.stored_objects) != counted:
            self.wrong_totals = True
            self._add(
                TOTALS_WRONG,
                "repository",
                f"{state.stored_bytes} bytes and {state.stored_objects} objects are noted, "
                f"{counted.bytes} and {counted.objects} are there",
            )

    async def _count_orphans(self) -> None:
        digests: list[bytes] = []
        async for item in self._store.list(f"packs/{self._id}/"):
            parsed = parse_pack_key(item.key)
            if parsed is not None:
                digests.append(parsed[1])
        for start in range(0, len(digests), 10_000):
            some = digests[start : start + 10_000]
            async with self._database.read("find packs") as conn:
                self.orphans += len(await find_unnamed_digests(conn, self._id, some))


def _cut(rows: Sequence[BlobRow]) -> list[list[BlobRow]]:
    """Batches of a few megabytes."""
    batches: list[list[BlobRow]] = []
    size = READ_BYTES
    for row in rows:
        if size >= READ_BYTES or len(batches[-1]) >= READ_AT_ONCE:
            batches.append([])
            size = 0
        batches[-1].append(row)
        size += row.raw_size
    return batches


def name_of(kind: Kind, object_id: bytes) -> str:
    return f"{kind.name.lower()} {object_id.hex()}"
