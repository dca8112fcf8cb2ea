"""Reading objects: every byte that is handed out has been hashed again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from muse.errors import CorruptStore, NotFound
from muse.history.walk import Node
from muse.objects.chunks import iter_chunks
from muse.objects.ids import ID_BYTES, Kind, format_id, split_ids
from muse.objects.tree import CHUNKED_KINDS
from muse.packs.record import Record, encode_record
from muse.store.cache import MAX_OBJECT_BYTES, Key, ObjectCache
from muse.store.database import Database
from muse.store.locations import (
    LOCATION_COLUMNS,
    PLACE_COLUMNS,
    READ_BYTES,
    Extent,
    Location,
    Place,
    bases_first,
    iter_runs,
    join_neighbours,
    place_of,
)
from muse.store.overlay import Overlay
from muse.store.records import corrupt_object, decode_stored, missing_object, parse_stored
from muse.store.segments import SegmentReader

MAX_CHAIN = 4096
"""No writer comes near; a longer chain of bases means that rows of the database lead in a circle."""
BATCH = 4096
FRESH_BYTES = 1 << 20
"""What `load_many` has decoded before it goes into the cache at once."""

_new = tuple.__new__


class ObjectStore:
    """The objects of a repository. Reading is safe from several threads; writing goes through a transaction.

    Objects that the open transaction has put are readable here as well, from its own thread alone.
    """

    def __init__(self, database: Database, segments_dir: Path) -> None:
        self._database = database
        self._segments = SegmentReader(segments_dir)
        self._cache = ObjectCache()
        self.overlay = Overlay()
        """Filled by the open transaction."""
        self._pending = self.overlay.locations

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

    def load_many(
        self, kind: Kind, ids: Iterable[bytes]
    ) -> Iterator[tuple[bytes, bytes, bytes | None, bytes | None]]:
        """Yield (id, bytes, id and bytes of the base or None) of many objects, in the order of their places.

        Costs a third of `load`. An object that is asked for twice comes once for each 4,096 ids. Raises what
        `load` raises.
        """
        iterator = iter(ids)
        number, find = int(kind), self._cache.find
        while batch := list(islice(iterator, BATCH)):
            places = self.find_places(kind, batch)
            fresh: dict[bytes, bytes] = {}
            fresh_bytes = 0
            for place, view in zip(places, self._iter_views(places), strict=True):
                object_id, base = place.id, place.base
                base_data = None if base is None else fresh.get(base) or find((number, base))
                if view is None or (base is not None and base_data is None):
                    yield object_id, self.load(kind, object_id), None, None
                    continue
                data = decode_stored(number, object_id, parse_stored(number, object_id, view), base_data)
                fresh[object_id] = data
                fresh_bytes += len(data)
                if fresh_bytes > FRESH_BYTES:
                    self._cache.add_many(number, fresh)
                    fresh, fresh_bytes = {}, 0
                yield object_id, data, base, base_data
            self._cache.add_many(number, fresh)

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
            kinds = dict.fromkeys(kind for kind, _ in batch)
            places = [
                place
                for kind in kinds
                for place in self.find_places(kind, [one for other, one in batch if other == kind])
            ]
            places = bases_first(sorted(places) if len(kinds) > 1 else places)
            for place, view in zip(places, self._iter_views(places), strict=True):
                kind, object_id = Kind(place.kind), place.id
                if view is None:
                    yield kind, object_id, self.load_record(kind, object_id)
                else:
                    yield kind, object_id, parse_stored(kind, object_id, view)

    def find_places(self, kind: int, ids: Iterable[bytes]) -> list[Place]:
        """Return where many objects lie, each once, in the order of their places; raises `missing-object`.

        One query; 250 bytes each.
        """
        wanted = set(ids)
        pending = [one for one in wanted if (kind, one) in self._pending] if self._pending else []
        rows = self._database.load_set(
            f"SELECT {PLACE_COLUMNS} FROM wanted"
            " CROSS JOIN objects ON objects.kind = :kind AND objects.id = wanted.id",
            wanted.difference(pending) if pending else wanted,
            kind=int(kind),
        )
        if len(rows) + len(pending) < len(wanted):
            raise missing_object(kind, wanted.difference(pending, (row[4] for row in rows)).pop())
        rows += [place_of(kind, one, self._pending[kind, one]) for one in pending]
        rows.sort()
        return [_new(Place, row) for row in rows]  # as `_make` does, at a third of the cost

    def iter_copies(self, places: Sequence[Place]) -> Iterator[tuple[Sequence[Place], memoryview]]:
        """Yield the records of places that `find_places` returned lately, as they are stored, in this order.

        What lies side by side comes as one piece of at most a megabyte. Nothing is decoded or checked. All is
        read before the first piece is out.
        """
        extents = join_neighbours(places, READ_BYTES)
        order = sorted(range(len(extents)), key=extents.__getitem__)
        views = dict(zip(order, self._iter_views([extents[number] for number in order]), strict=True))
        for number, extent in enumerate(extents):
            group, view = places[extent.first : extent.stop], views.pop(number)
            if view is not None:
                yield group, view
                continue
            for place in group:
                record = self.load_record(Kind(place.kind), place.id)
                if record.base not in (None, place.base):
                    raise corrupt_object(place.kind, place.id, "it was written anew while it was read")
                yield [place], memoryview(encode_record(record))

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
        node = self.overlay.commits.get(commit_id)
        if node is not None:
            return node
        row = self._database.find_row(
            "SELECT parents, generation, time_s, tree FROM commits WHERE id = ?", (commit_id,)
        )
        if row is None:
            return None
        return Node(commit_id, tuple(split_ids(row[0])), row[1], row[2], row[3])

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
            f"SELECT {LOCATION_COLUMNS} FROM objects WHERE kind = ? AND id = ?", (int(kind), object_id)
        )
        return None if row is None else Location._make(row)

    def _get_location(self, kind: int, object_id: bytes) -> Location:
        location = self.find_location(kind, object_id)
        if location is None:
            raise missing_object(kind, object_id)
        return location

    # ---- reading

    def _read(self, kind: int, object_id: bytes, location: Location) -> Record:
        if (kind, object_id) in self._pending:
            self.overlay.write_out()
        data = self._segments.read(location.segment, location.offset, location.size_bytes)
        return parse_stored(kind, object_id, memoryview(data))

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
                raise corrupt_object(kind, key[1], "its bases lead in a circle")
        for object_id, record in reversed(chain):
            data = decode_stored(kind, object_id, record, data)
            self._cache.add((kind, object_id), data)
        assert data is not None
        return data

    def _iter_views(self, parts: Sequence[Place | Extent]) -> Iterator[memoryview | None]:
        """Read in the order given, what lies close together at once; None for what cannot be read there."""
        if self._pending:
            self.overlay.write_out()
        for first, stop, segment, start, end in iter_runs(parts):
            try:
                data = memoryview(self._segments.read(segment, start, end - start))
            except CorruptStore:
                for _ in range(first, stop):
                    yield None
                continue
            for part in parts[first:stop]:
                yield data[part.offset - start : part.end - start]

    # ---- for the transaction

    def drop_overlay(self) -> None:
        """Forget what was put and will never be named, wherever it was kept."""
        if self._pending:
            self.forget()
        self.overlay.clear()

    def remember(self, kind: int, object_id: bytes, data: bytes | memoryview) -> None:
        """Keep an object that was just put: the next version of it will want it as base."""
        if len(data) <= MAX_OBJECT_BYTES:
            self._cache.add((kind, object_id), bytes(data))

    def forget(self) -> None:
        """Drop all caches and open files."""
        self._cache.clear()
        self._segments.forget()
