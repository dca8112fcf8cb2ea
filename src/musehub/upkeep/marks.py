"""What of a repository is reachable, in a temporary database on disk: memory does not grow with it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from muse.objects.ids import Kind
from musehub.db.blobs import BlobRow
from musehub.db.sweep import RecordPlace

_COMMIT = int(Kind.COMMIT)
MAX_RECENT = 100_000
"""Objects remembered as marked: most are named many times in a row."""

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16384;
CREATE TABLE records (kind INTEGER, id BLOB, position INTEGER, base BLOB, live INTEGER,
                      PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE blobs (id BLOB PRIMARY KEY, pack INTEGER, size INTEGER, base BLOB, live INTEGER) WITHOUT ROWID;
CREATE TABLE todo (position INTEGER PRIMARY KEY, kind INTEGER, id BLOB);
CREATE TABLE edges (id BLOB, kind INTEGER, target BLOB, PRIMARY KEY (id, kind, target)) WITHOUT ROWID;
CREATE TABLE fresh (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE reach (id BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class Marks:
    """Records and blobs of one repository, live or not. Not for concurrent use; every method blocks."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="musehub-gc-")
        self._db = sqlite3.connect(
            Path(self._folder.name) / "marks.sqlite", isolation_level=None, check_same_thread=False
        )
        self._db.executescript(_SCHEMA)
        self._recent: set[tuple[int, bytes]] = set()

    def close(self) -> None:
        self._db.close()
        self._folder.cleanup()

    # ---- what is there

    def add_records(self, places: Iterable[RecordPlace], live: Iterable[bool]) -> None:
        """Take records; live ones are to be walked from."""
        rows = list(zip(places, live, strict=True))
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, 0)",
            [(place.kind, place.id, place.position, place.base) for place, _live in rows],
        )
        self._mark((place.kind, place.id) for place, is_live in rows if is_live)
        self._db.execute("COMMIT")

    def add_blobs(self, rows: Iterable[BlobRow], sizes: Iterable[int], live: Iterable[bool]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO blobs VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "pack = excluded.pack, size = excluded.size, base = excluded.base, live = live OR excluded.live",
            [
                (row.id, row.pack_id, size, row.base, int(is_live))
                for row, size, is_live in zip(rows, sizes, live, strict=True)
            ],
        )
        self._db.execute("COMMIT")

    # ---- marking

    def mark(self, keys: Iterable[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
        """Mark objects as live; records that were not are to be walked. Returns what is not there at all."""
        self._db.execute("BEGIN")
        absent = self._mark(keys)
        self._db.execute("COMMIT")
        return absent

    def _mark(self, keys: Iterable[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
        absent = set()
        execute = self._db.execute
        for key in keys:
            if key in self._recent:
                continue
            kind, object_id = key
            if kind == Kind.BLOB:
                changed = execute(
                    "UPDATE blobs SET live = 1 WHERE id = ? AND live = 0", (object_id,)
                ).rowcount
                known = changed or execute("SELECT 1 FROM blobs WHERE id = ?", (object_id,)).fetchone()
            else:
                changed = execute(
                    "UPDATE records SET live = 1 WHERE kind = ? AND id = ? AND live = 0", key
                ).rowcount
                known = changed or execute("SELECT 1 FROM records WHERE kind = ? AND id = ?", key).fetchone()
                if changed and kind == Kind.COMMIT:
                    execute("INSERT OR IGNORE INTO fresh VALUES (?)", (object_id,))
                elif changed:
                    execute(
                        "INSERT INTO todo SELECT position, kind, id FROM records WHERE kind = ? AND id = ?",
                        key,
                    )
            if not known:
                absent.add(key)
                continue
            if len(self._recent) >= MAX_RECENT:
                self._recent.clear()
            self._recent.add(key)
        return absent

    def list_records(self, after: int, limit: int) -> list[tuple[int, int, bytes]]:
        """(position, kind, id) of records in the order in which they were recorded."""
        self._db.execute("CREATE INDEX IF NOT EXISTS by_position ON records (position)")
        query = "SELECT position, kind, id FROM records WHERE position > ? ORDER BY position LIMIT ?"
        return self._db.execute(query, (after, limit)).fetchall()

    def list_commits(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """(position, id) of commits whose edges are not known, in the order in which they were recorded."""
        self._db.execute(f"CREATE INDEX IF NOT EXISTS commits ON records (position) WHERE kind = {_COMMIT}")
        return self._db.execute(
            f"SELECT position, id FROM records WHERE kind = {_COMMIT} AND position > ? "
            "AND NOT EXISTS (SELECT 1 FROM edges WHERE edges.id = records.id) ORDER BY position LIMIT ?",
            (after, limit),
        ).fetchall()

    def add_edges(self, edges: Iterable[tuple[bytes, int, bytes]]) -> None:
        """Take what commits name: (commit, kind, id)."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO edges VALUES (?, ?, ?)", edges)
        self._db.execute("COMMIT")

    def spread(self) -> set[tuple[int, bytes]]:
        """Mark all ancestors of live commits, and their trees. Returns what is named and not there."""
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM reach")
        self._db.execute(
            "INSERT INTO reach WITH RECURSIVE seen (id) AS (SELECT id FROM fresh UNION "
            f"SELECT e.target FROM seen JOIN edges e ON e.id = seen.id AND e.kind = {_COMMIT} "
            f"LEFT JOIN records r ON r.kind = {_COMMIT} AND r.id = e.target WHERE r.live IS NOT 1) "
            "SELECT id FROM seen"
        )
        named = self._db.execute(
            f"SELECT {_COMMIT}, id FROM reach "
            f"UNION ALL SELECT e.kind, e.target FROM reach JOIN edges e USING (id) WHERE e.kind <> {_COMMIT}"
        )
        absent = self._mark(named)
        self._db.execute("DELETE FROM fresh")
        self._db.execute("COMMIT")
        return absent

    def take_todo(self, limit: int) -> dict[Kind, list[bytes]]:
        """The next live records to walk from, by kind: neighbours, which are often based on one another."""
        query = "SELECT position, kind, id FROM todo ORDER BY position LIMIT ?"
        rows = self._db.execute(query, (limit,)).fetchall()
        if rows:
            self._db.execute("DELETE FROM todo WHERE position <= ?", (rows[-1][0],))
        found: dict[Kind, list[bytes]] = {}
        for _position, kind, object_id in rows:
            found.setdefault(Kind(kind), []).append(object_id)
        return found

    def keep_bases(self) -> None:
        """Mark the bases of live blobs, and theirs."""
        self._db.execute("CREATE INDEX IF NOT EXISTS by_base ON blobs (base)")
        while self._db.execute(
            "UPDATE blobs SET live = 1 WHERE live = 0 AND id IN "
            "(SELECT base FROM blobs WHERE live = 1 AND base IS NOT NULL)"
        ).rowcount:
            pass

    # ---- what follows

    def count_dead_by_kind(self) -> dict[str, int]:
        rows = self._db.execute("SELECT kind, COUNT(*) FROM records WHERE live = 0 GROUP BY kind").fetchall()
        found = {Kind(kind).name.lower(): count for kind, count in rows}
        blobs = self._db.execute("SELECT COUNT(*) FROM blobs WHERE live = 0").fetchone()[0]
        return found | ({"blob": blobs} if blobs else {})

    def find_based_on_dead(self, limit: int) -> list[tuple[Kind, bytes]]:
        """Live records whose base is dead."""
        rows = self._db.execute(
            "SELECT l.kind, l.id FROM records l JOIN records b ON b.kind = l.kind AND b.id = l.base "
            "WHERE l.live = 1 AND b.live = 0 LIMIT ?",
            (limit,),
        ).fetchall()
        return [(Kind(kind), object_id) for kind, object_id in rows]

    def forget_base(self, keys: Iterable[tuple[Kind, bytes]]) -> None:
        self._db.executemany(
            "UPDATE records SET base = NULL WHERE kind = ? AND id = ?",
            [(int(kind), object_id) for kind, object_id in keys],
        )

    def next_dead_records(self, limit: int) -> dict[Kind, list[bytes]]:
        """The dead records that were recorded last: whatever names them is among them or gone."""
        self._db.execute("CREATE INDEX IF NOT EXISTS dead ON records (position) WHERE live = 0")
        rows = self._db.execute(
            "SELECT kind, id FROM records WHERE live = 0 ORDER BY position DESC LIMIT ?", (limit,)
        ).fetchall()
        found: dict[Kind, list[bytes]] = {}
        for kind, object_id in rows:
            found.setdefault(Kind(kind), []).append(object_id)
        return found

    def iter_dead(self, limit: int) -> Iterator[tuple[Kind, list[bytes]]]:
        """All dead records, some at a time."""
        cursor = self._db.execute("SELECT kind, id FROM records WHERE live = 0 ORDER BY kind, id")
        while rows := cursor.fetchmany(limit):
            for kind in {row[0] for row in rows}:
                yield Kind(kind), [object_id for of, object_id in rows if of == kind]

    def forget_records(self, dead: dict[Kind, list[bytes]]) -> None:
        for kind, ids in dead.items():
            self._db.executemany(
                "DELETE FROM records WHERE kind = ? AND id = ?", [(int(kind), object_id) for object_id in ids]
            )
            self._recent.difference_update((int(kind), object_id) for object_id in ids)

    def next_dead_blobs(self, limit: int) -> list[bytes]:
        """Dead blobs that no blob is based on any more."""
        rows = self._db.execute(
            "SELECT id FROM blobs b WHERE live = 0 AND NOT EXISTS "
            "(SELECT 1 FROM blobs d WHERE d.base = b.id AND d.id <> b.id) LIMIT ?",
            (limit,),
        ).fetchall()
        return [row[0] for row in rows]

    def forget_blobs(self, ids: Sequence[bytes]) -> None:
        self._db.executemany("DELETE FROM blobs WHERE id = ?", [(object_id,) for object_id in ids])

    def sum_packs(self) -> dict[int, tuple[int, int]]:
        """Live blobs and the bytes of their records, by pack."""
        rows = self._db.execute("SELECT pack, COUNT(*), SUM(size) FROM blobs WHERE live = 1 GROUP BY pack")
        return {pack: (count, size) for pack, count, size in rows}

    def list_live_in(self, pack_id: int) -> list[bytes]:
        self._db.execute("CREATE INDEX IF NOT EXISTS by_pack ON blobs (pack)")
        rows = self._db.execute("SELECT id FROM blobs WHERE pack = ? AND live = 1", (pack_id,))
        return [row[0] for row in rows]
