"""Clean-up: removes objects that nothing reaches, and segments that hold little else.

What stays is closed: no object that stays names one that went. So an object that is present keeps meaning
that all it names is present as well.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import CorruptStore
from muse.objects.ids import Kind, format_id
from muse.packs.pack import HEAD
from muse.packs.record import Record, encode_object
from muse.store.appender import Appender
from muse.store.failure import os_failure
from muse.store.index import write_ends, write_locations
from muse.store.locations import RECORD_BYTES, Location
from muse.store.locks import try_lock
from muse.store.progress import Progress, silent
from muse.store.reachable import Reachable, load_roots
from muse.store.segments import list_segments, segment_path

if TYPE_CHECKING:
    from muse.store.repository import Repository

GRACE_DAYS = 14.0
REWRITE_SHARE = 0.2
"""A segment is rewritten when this much of it is dead: four bytes are written to gain one, at the worst."""
SMALL_BYTES = 4 << 20
SMALL_SEGMENTS = 16
"""More small segments than this are put together: one that a crash left half written grows no more."""
LOCK_TIMEOUT_S = 5.0
TEMPORARY_S = 86400
"""Downloads do not hold the lock; one this old has been given up."""
BATCH = 2000

_IS_LIVE = "EXISTS (SELECT 1 FROM temp.live l WHERE l.kind = o.kind AND l.id = o.id)"
_NEEDS_DEAD_BASE = (
    "o.base IS NOT NULL AND NOT EXISTS (SELECT 1 FROM temp.live b WHERE b.kind = o.kind AND b.id = o.base)"
)


class Clean(NamedTuple):
    """What a clean-up did, or would do. `freed_bytes` counts files, `dead_bytes` records in them."""

    dry_run: bool
    dead_objects: int
    dead_bytes: int
    live_objects: int
    live_bytes: int
    expired_operations: int
    segments_removed: int
    segments_rewritten: int
    freed_bytes: int


class _Segment(NamedTuple):
    """A segment file, and what of it is reachable."""

    number: int
    size_bytes: int
    live_bytes: int
    live_objects: int

    @property
    def dead_bytes(self) -> int:
        return max(self.size_bytes - self.live_bytes - HEAD.size, 0)

    @property
    def rewrite(self) -> bool:
        return self.live_objects > 0 and self.dead_bytes > REWRITE_SHARE * self.size_bytes


def gc(
    repository: Repository,
    dry_run: bool = False,
    *,
    grace_days: float = GRACE_DAYS,
    progress: Progress = silent,
) -> Clean:
    """Remove what neither refs nor the operations of the last `grace_days` reach; forget older operations.

    Works alone: raises `locked` while another process writes, and lets writers wait. Safe to kill at any
    point: what is moved is synced and named before its old segment goes. Raises `missing-object` instead of
    cleaning a damaged repository. With `dry_run` it only counts.
    """
    repository.appender.close()
    repository.lock.acquire(not dry_run, LOCK_TIMEOUT_S)
    reachable = Reachable(repository, progress)
    try:
        cutoff_s = repository.clock() - grace_days * 86400
        roots = [root for _, root in load_roots(repository, cutoff_s)]
        reachable.mark(roots)
        for kind, object_id in reachable.missing:
            raise CorruptStore(
                "missing-object",
                f"{kind.word} {format_id(object_id)} is missing or damaged: nothing was cleaned up",
                hint="`muse fsck` shows what is wrong",
            )
        return _CleanUp(repository, cutoff_s, progress).run(dry_run)
    finally:
        reachable.close()
        repository.lock.release()


class _CleanUp:
    """Works on the table `live` of this connection: first rows go, then segments that hold little else."""

    def __init__(self, repository: Repository, cutoff_s: float, progress: Progress) -> None:
        self._repository = repository
        self._database = repository.database
        self._cutoff_s = cutoff_s
        self._progress = progress
        self._appender = Appender(repository.database, repository.segments_dir, only_new=True)

    def run(self, dry_run: bool) -> Clean:
        database = self._database
        dead = database.find_row(
            f"SELECT count(*), coalesce(sum({RECORD_BYTES}), 0) FROM objects o WHERE NOT {_IS_LIVE}"
        )
        live = database.find_row(
            f"SELECT count(*), coalesce(sum({RECORD_BYTES}), 0) FROM objects o WHERE {_IS_LIVE}"
        )
        expired = database.find_row("SELECT count(*) FROM operations WHERE time_s < ?", (self._cutoff_s,))[0]
        segments = self._load_segments()
        empty = [segment for segment in segments if not segment.live_objects]
        small = [segment for segment in segments if segment.live_objects and segment.size_bytes < SMALL_BYTES]
        crowd = small if len(small) > SMALL_SEGMENTS else []
        sparse = [segment for segment in segments if segment.rewrite or segment in crowd]
        freed = sum(segment.size_bytes for segment in empty) + sum(segment.dead_bytes for segment in sparse)
        result = Clean(dry_run, dead[0], dead[1], live[0], live[1], expired, len(empty), len(sparse), freed)
        if dry_run:
            return result
        self._forget_dead_references(any_dead=dead[0] > 0)
        self._free_from_dead_bases()
        self._delete_dead_rows()
        removed, rewritten, freed = 0, 0, 0
        for done, segment in enumerate(empty + sparse):
            self._progress("rewriting segments", done, len(empty) + len(sparse), "segments")
            gained = self._replace(segment)
            freed += gained
            removed += bool(gained) and not segment.live_objects
            rewritten += bool(gained) and segment.live_objects > 0
        self._appender.close()
        self._clear_temporary()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if dead[0] > live[0] // 2:
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return result._replace(segments_removed=removed, segments_rewritten=rewritten, freed_bytes=freed)

    def _load_segments(self) -> list[_Segment]:
        """Return all segment files: with none of their bytes named, too, which is what a crash leaves."""
        live = {
            number: (size_bytes, count)
            for number, size_bytes, count in self._database.load_rows(
                f"SELECT o.segment, sum({RECORD_BYTES}), count(*) FROM objects o WHERE {_IS_LIVE} GROUP BY 1"
            )
        }
        return [
            _Segment(number, path.stat().st_size, *live.get(number, (0, 0)))
            for number, path in list_segments(self._repository.segments_dir)
        ]

    def _forget_dead_references(self, any_dead: bool) -> None:
        """First of all drop what would lead to objects that are about to go."""
        database = self._database
        database.begin()
        database.execute(
            "DELETE FROM operation_changes WHERE operation IN (SELECT id FROM operations WHERE time_s < ?)",
            (self._cutoff_s,),
        )
        database.execute("DELETE FROM operations WHERE time_s < ?", (self._cutoff_s,))
        if any_dead:
            database.execute("DELETE FROM stat_cache")
            kinds = ", ".join(str(int(kind)) for kind in Kind)
            database.execute(
                "DELETE FROM git_map WHERE NOT EXISTS"
                f" (SELECT 1 FROM temp.live l WHERE l.kind IN ({kinds}) AND l.id = git_map.id)"
            )
        database.execute(
            "INSERT OR REPLACE INTO meta VALUES ('next_segment', ?)",
            (max((number for number, _ in list_segments(self._repository.segments_dir)), default=0) + 1,),
        )
        database.commit()

    def _free_from_dead_bases(self) -> None:
        """Compress live objects anew whose base goes: against the next live one below it, or alone."""
        objects = self._repository.objects
        while True:
            rows = self._database.load_rows(
                "SELECT o.kind, o.id FROM temp.live l CROSS JOIN objects o ON o.kind = l.kind AND o.id = l.id"
                f" WHERE {_NEEDS_DEAD_BASE} LIMIT ?",
                (BATCH,),
            )
            if not rows:
                return
            records = []
            for kind, object_id in rows:
                base = self._live_base(kind, object_id)
                prefix = None if base is None else (base, objects.load(Kind(kind), base))
                data = objects.load(Kind(kind), object_id)
                records.append((kind, object_id, encode_object(Kind(kind), data, prefix)))
            self._move(records)

    def _live_base(self, kind: int, object_id: bytes) -> bytes | None:
        location = self._repository.objects.find_location(kind, object_id)
        while location is not None and location.base is not None:
            if self._database.find_row(
                "SELECT 1 FROM temp.live WHERE kind = ? AND id = ?", (kind, location.base)
            ):
                return location.base
            location = self._repository.objects.find_location(kind, location.base)
        return None

    def _delete_dead_rows(self) -> None:
        database = self._database
        database.begin()
        database.execute(
            "DELETE FROM commits WHERE NOT EXISTS"
            " (SELECT 1 FROM temp.live l WHERE l.kind = ? AND l.id = commits.id)",
            (int(Kind.COMMIT),),
        )
        database.execute(
            "DELETE FROM objects WHERE NOT EXISTS"
            " (SELECT 1 FROM temp.live l WHERE l.kind = objects.kind AND l.id = objects.id)"
        )
        database.commit()
        self._repository.objects.forget()

    def _replace(self, segment: _Segment) -> int:
        """Copy what lives in a segment elsewhere, delete it, return the bytes gained: 0 if it is in use."""
        path = segment_path(self._repository.segments_dir, segment.number)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise os_failure(error, path) from error
        try:
            if not try_lock(fd):
                return 0  # another process keeps it open to append to it
            keys = [
                (Kind(kind), object_id)
                for kind, object_id in self._database.load_rows(
                    "SELECT kind, id FROM objects WHERE segment = ? ORDER BY offset", (segment.number,)
                )
            ]
            written = 0
            for start in range(0, len(keys), BATCH):
                records = list(self._repository.objects.iter_records(keys[start : start + BATCH]))
                written += sum(record.size_bytes for _, _, record in records)
                self._move([(int(kind), object_id, record) for kind, object_id, record in records])
            self._database.begin()
            self._database.execute("DELETE FROM segments WHERE number = ?", (segment.number,))
            self._database.commit()
            path.unlink()
            return max(os.fstat(fd).st_size - written, 1)
        except OSError as error:
            raise os_failure(error, path) from error
        finally:
            os.close(fd)

    def _move(self, records: list[tuple[int, bytes, Record]]) -> None:
        """Write records to a new place and let their rows name it."""
        appender = self._appender
        objects = self._repository.objects
        moved: dict[tuple[int, bytes], Location] = {}
        for kind, object_id, record in records:
            segment, offset = appender.append(record)
            old = objects.find_location(kind, object_id)
            assert old is not None
            depth = old.depth if record.base else 0
            new = Location(
                segment, offset, record.encoding, record.raw_size, len(record.payload), record.base, depth
            )
            moved[kind, object_id] = new
        ends = appender.sync()
        self._database.begin()
        write_locations(self._database, moved, move=True)
        write_ends(self._database, ends)
        self._database.commit()
        appender.accept()

    def _clear_temporary(self) -> None:
        for path in self._repository.temporary_dir.iterdir():
            if path.lstat().st_mtime > self._repository.clock() - TEMPORARY_S:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
