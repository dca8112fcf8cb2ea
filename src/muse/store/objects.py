"""Reading objects: every byte that is handed out has been hashed again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from muse.errors import CorruptStore, InvalidData, MuseError, NotFound
from muse.history.walk import Node
from muse.objects.chunks import iter_chunks
from muse.objects.ids import ID_BYTES, Kind, format_id, hash_bytes
from muse.objects.tree import CHUNKED_KINDS
from muse.packs.record import Record, decode_object, parse_record
from muse.store.cache import MAX_OBJECT_BYTES, Key, ObjectCache
from muse.store.database import Database
from muse.store.locations import Location, bases_first, chain_by_chain, iter_runs, split_ids
from muse.store.segments import SegmentReader

MAX_CHAIN = 4096
"""No writer comes near; a longer chain of bases means that rows of the database lead in a circle."""
BATCH = 4096
CHAIN_BATCH = 1 << 16
"""400 bytes each: 25 MiB."""

_COLUMNS = "segment, offset, encoding, raw_size, stored_size, base, depth"


class ObjectStore:
    """The objects of a repository. Reading is safe from several threads; writing goes through a transaction.

    Objects that the open transaction has put are readable here as well, from its own thread alone.
    """

    def __init__(self, database: Database, segments_dir: Path) -> None:
        self._database = database
        self._segments = SegmentReader(segments_dir)
        self._cache = ObjectCache()
        self._pending: dict[Key, Location] = {}
        self._pending_commits: dict[bytes, Node] = {}
        self._before_pending_read = _nothing

    def has(self, kind: Kind, object_id: bytes) -> bool:
        return self.find_location(kind, object_id) is not None

    def find_missing(self, kind: Kind, ids: Iterable[bytes]) -> set[bytes]:
        """Return those of `ids` that are not here; one query whatever their number, about 1 µs each."""
        wanted = set(ids)
        if self._pending:
            wanted = {object_id for object_id in wanted if (kind, object_id) not in self._pending}
        rows = self._database.load_set(
            "SELECT id FROM wanted WHERE NOT EXISTS"
            " (SELECT 1 FROM objects WHERE kind = :kind AND objects.id = wanted.id)",
            list(wanted),
            kind=int(kind),
        )
        return {row[0] for row in rows}

    def load(self, kind: Kind, object_id: bytes) -> bytes:
        """Return an object's bytes; raises `missing-object`, `corrupt-object`, `corrupt-segment`."""
        key = (kind, object_id)
        data = self._cache.find(key)
        if data is not None:
            return data
        try:
            return self._load(key)
        except CorruptStore:
            # A clean-up in another process may have moved it between the look-up and the read.
            self._segments.forget()
            return self._load(key)

    def load_record(self, kind: Kind, object_id: bytes) -> Record:
        """Return an object as it is stored: nothing is decoded or checked."""
        location = self._get_location(kind, object_id)
        try:
            return self._read(kind, object_id, location)
        except CorruptStore:
            self._segments.forget()
            return self._read(kind, object_id, self._get_location(kind, object_id))

    def iter_records(self, keys: Iterable[tuple[Kind, bytes]]) -> Iterator[tuple[Kind, bytes, Record]]:
        """Yield the stored form of many objects, batch by batch, each batch in the order it is stored in.

        A base of the same batch comes before what is based on it. Each object once per batch. Raises
        `missing-object`.
        """
        iterator = iter(keys)
        while batch := list(islice(iterator, BATCH)):
            yield from self._iter_located(bases_first(self._locate_many(batch)))

    def iter_chains(self, kind: Kind, ids: Iterable[bytes]) -> Iterator[tuple[bytes, Record]]:
        """Yield (id, stored form) of many objects, each right after its base.

        Versions of one file lie far apart where commits wrote them; here a reader needs to keep only the last
        object to decode the next. Each object once per 65,536. Raises `missing-object`.
        """
        iterator = iter(ids)
        while batch := list(islice(iterator, CHAIN_BATCH)):
            ordered = chain_by_chain(self._locate_many([(kind, object_id) for object_id in batch]))
            for _, object_id, record in self._iter_located(ordered):
                yield object_id, record

    def find_locations(self, kind: Kind, ids: Iterable[bytes]) -> dict[bytes, Location]:
        """Return where many objects lie, in one query; raises `missing-object`. Memory: 300 bytes each."""
        return {key[1]: location for key, location in self._locate_many([(kind, one) for one in ids])}

    def iter_places(
        self, kind: Kind, places: Iterable[tuple[bytes, Location]]
    ) -> Iterator[tuple[bytes, Record]]:
        """Yield (id, stored form) from places that `find_locations` returned lately, in the order given."""
        for _, object_id, record in self._iter_located([((kind, one), place) for one, place in places]):
            yield object_id, record

    def size(self, kind: Kind, object_id: bytes) -> int:
        """Return the size of an object's bytes; raises `missing-object`."""
        return self._get_location(kind, object_id).raw_size

    def open_file(self, entry_kind: str, object_id: bytes) -> Iterator[bytes]:
        """Yield the content of a file, executable or symlink entry in pieces of at most 16 MiB."""
        if entry_kind not in CHUNKED_KINDS:
            yield self.load(Kind.BLOB, object_id)
            return
        for chunk in iter_chunks(object_id, self.load):
            data = self.load(Kind.BLOB, chunk.id)
            if len(data) != chunk.size_bytes:
                raise CorruptStore(
                    "corrupt-object", f"a chunk of {format_id(object_id)} has another size than its list says"
                )
            yield data

    def find_by_prefix(self, hex_prefix: str, limit: int = 10) -> list[tuple[Kind, bytes]]:
        """Return (kind, id) of at most `limit` objects whose id begins with these hex digits."""
        digits = hex_prefix.lower()
        if not digits or len(digits) > 2 * ID_BYTES or not set(digits) <= set("0123456789abcdef"):
            return []
        low = bytes.fromhex(digits.ljust(2 * ID_BYTES, "0"))
        high = bytes.fromhex(digits.ljust(2 * ID_BYTES, "f"))
        found: list[tuple[Kind, bytes]] = []
        for kind in (Kind.COMMIT, Kind.TAG, Kind.TREE, Kind.BLOB, Kind.CHUNKS):
            rows = self._database.load_rows(
                "SELECT id FROM objects WHERE kind = ? AND id BETWEEN ? AND ? ORDER BY id LIMIT ?",
                (int(kind), low, high, limit - len(found)),
            )
            found += [(kind, row[0]) for row in rows]
            if len(found) >= limit:
                break
        return found

    def find_node(self, commit_id: bytes) -> Node | None:
        """Return a commit's place in the graph without decoding it."""
        node = self._pending_commits.get(commit_id)
        if node is not None:
            return node
        row = self._database.find_row(
            "SELECT parents, generation, time_s, tree FROM commits WHERE id = ?", (commit_id,)
        )
        if row is None:
            return None
        return Node(commit_id, split_ids(row[0]), row[1], row[2], row[3])

    def get_node(self, commit_id: bytes) -> Node:
        """Return a commit's place in the graph; raises `unknown-object`."""
        node = self.find_node(commit_id)
        if node is None:
            raise NotFound("unknown-object", f"there is no commit {format_id(commit_id)}")
        return node

    # ---- places

    def find_location(self, kind: int, object_id: bytes) -> Location | None:
        location = self._pending.get((kind, object_id))
        if location is not None:
            return location
        row = self._database.find_row(
            f"SELECT {_COLUMNS} FROM objects WHERE kind = ? AND id = ?", (int(kind), object_id)
        )
        return None if row is None else Location._make(row)

    def _get_location(self, kind: int, object_id: bytes) -> Location:
        location = self.find_location(kind, object_id)
        if location is None:
            raise _missing(kind, object_id)
        return location

    def _locate_many(self, keys: Sequence[tuple[int, bytes]]) -> list[tuple[Key, Location]]:
        wanted = {(int(kind), object_id) for kind, object_id in keys}
        located = [(key, self._pending[key]) for key in wanted if key in self._pending]
        for kind in {kind for kind, _ in wanted}:
            rows = self._database.load_set(
                f"SELECT wanted.id, {_COLUMNS} FROM wanted"
                " CROSS JOIN objects ON objects.kind = :kind AND objects.id = wanted.id",
                [key[1] for key in wanted if key[0] == kind and key not in self._pending],
                kind=kind,
            )
            located += [((kind, row[0]), Location._make(row[1:])) for row in rows]
        if len(located) != len(wanted):
            kind, object_id = next(iter(wanted.difference(key for key, _ in located)))
            raise _missing(kind, object_id)
        return located

    # ---- reading

    def _read(self, kind: int, object_id: bytes, location: Location) -> Record:
        if (kind, object_id) in self._pending:
            self._before_pending_read()
        data = self._segments.read(location.segment, location.offset, location.size_bytes)
        return _parse(kind, object_id, memoryview(data))

    def _load(self, key: Key) -> bytes:
        """Decode an object and the bases below it, each hashed."""
        chain: list[tuple[bytes, Record]] = []
        kind, object_id = key
        data: bytes | None = None
        while True:
            record = self._read(kind, object_id, self._get_location(kind, object_id))
            chain.append((object_id, record))
            if record.base is None:
                break
            object_id = record.base
            data = self._cache.find((kind, object_id))
            if data is not None:
                break
            if len(chain) > MAX_CHAIN:
                raise _corrupt(kind, key[1], "its bases lead in a circle")
        for object_id, record in reversed(chain):
            try:
                data = decode_object(record, data)
            except InvalidData as error:
                raise _corrupt(kind, object_id, error.message) from error
            if hash_bytes(data) != object_id:
                raise _corrupt(kind, object_id, "its bytes have another hash")
            self._cache.add((kind, object_id), data)
        assert data is not None
        return data

    def _iter_located(self, located: list[tuple[Key, Location]]) -> Iterator[tuple[Kind, bytes, Record]]:
        """Read in the order given; what lies close together is read at once."""
        if self._pending:
            self._before_pending_read()
        for run in iter_runs(located):
            segment, start = run[0][1].segment, run[0][1].offset
            size_bytes = max(location.offset + location.size_bytes for _, location in run) - start
            try:
                data = memoryview(self._segments.read(segment, start, size_bytes))
            except CorruptStore:
                for (kind, object_id), _ in run:
                    yield Kind(kind), object_id, self.load_record(Kind(kind), object_id)
                continue
            for (kind, object_id), location in run:
                begin = location.offset - start
                record = _parse(kind, object_id, data[begin : begin + location.size_bytes])
                yield Kind(kind), object_id, record

    # ---- for the transaction

    def begin_overlay(self, before_pending_read: object) -> tuple[dict[Key, Location], dict[bytes, Node]]:
        """Return the tables of what is put but not named yet; the caller fills them."""
        assert callable(before_pending_read)
        self._before_pending_read = before_pending_read
        return self._pending, self._pending_commits

    def end_overlay(self, *, failed: bool) -> None:
        """Forget what was put: by now it is named, or it never will be."""
        if failed and self._pending:
            self._cache.clear()
            self._segments.forget()
        self._pending.clear()
        self._pending_commits.clear()

    def remember(self, kind: int, object_id: bytes, data: bytes | memoryview) -> None:
        """Keep an object that was just put: the next version of it will want it as base."""
        if len(data) <= MAX_OBJECT_BYTES:
            self._cache.add((kind, object_id), bytes(data))

    def forget(self) -> None:
        """Drop all caches and open files."""
        self._cache.clear()
        self._segments.forget()


def _nothing() -> None:
    pass


def _parse(kind: int, object_id: bytes, data: memoryview) -> Record:
    try:
        record, end = parse_record(data, 0)
    except InvalidData as error:
        raise _corrupt(kind, object_id, error.message) from error
    if record.kind != kind or end != len(data):
        raise _corrupt(kind, object_id, "its record is not the one that the database names")
    return record


def _describe(kind: int, object_id: bytes) -> str:
    return f"{Kind(kind).name.lower()} {format_id(object_id)}"


def _missing(kind: int, object_id: bytes) -> MuseError:
    return CorruptStore(
        "missing-object",
        f"{_describe(kind, object_id)} is not in this repository",
        hint="`muse fsck` shows what is missing; `muse fetch` can bring it back from a remote that has it",
        details={"kind": Kind(kind).name.lower(), "id": object_id.hex()},
    )


def _corrupt(kind: int, object_id: bytes, reason: str) -> CorruptStore:
    return CorruptStore(
        "corrupt-object",
        f"{_describe(kind, object_id)} is damaged: {reason}",
        hint="`muse fsck` shows what else is; `muse fetch` can bring it back from a remote that has it",
        details={"kind": Kind(kind).name.lower(), "id": object_id.hex()},
    )
