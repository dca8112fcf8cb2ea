"""A repository: a work tree and the local store beside it, `.muse/` (docs/formats/local-store.md)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from muse.errors import Conflict, InternalError, NotFound
from muse.history.walk import Node
from muse.store.appender import Appender
from muse.store.database import BUSY_TIMEOUT_S, Database
from muse.store.failure import os_failure
from muse.store.gitmap import GitMap
from muse.store.locks import RepositoryLock
from muse.store.objects import ObjectStore
from muse.store.operations import OperationLog
from muse.store.refs import Refs, check_ref_name
from muse.store.remotes import RemoteState
from muse.store.segments import sync_folder
from muse.store.settings import Settings, UserSettings, user_config_path
from muse.store.statcache import StatCache
from muse.store.unfinished import Unfinished, save_unfinished

if TYPE_CHECKING:
    from muse.store.transaction import Transaction

FOLDER = ".muse"
DATABASE = "muse.db"
SEGMENTS = "segments"
TEMPORARY = "tmp"
LOCK = "lock"


class Repository:
    """One repository, open. Reading is safe from several threads, writing goes through `transaction`.

    `clock` gives the time of operations, in seconds since 1970.
    """

    def __init__(self, work_dir: Path, database: Database, user_config: Path | None) -> None:
        self.work_dir = work_dir
        self.muse_dir = work_dir / FOLDER
        self.temporary_dir = self.muse_dir / TEMPORARY
        """For downloads and the like: same file system as the segments, emptied by clean-up."""
        self.segments_dir = self.muse_dir / SEGMENTS
        self.database = database
        self.busy_timeout_s = BUSY_TIMEOUT_S
        self.clock: Callable[[], float] = time.time
        self.lock = RepositoryLock(self.muse_dir / LOCK)
        self.appender = Appender(database, self.segments_dir)
        self.objects = ObjectStore(database, self.segments_dir)
        self.graph: Callable[[bytes], Node] = self.objects.get_node
        self.refs = Refs(database)
        self.operations = OperationLog(database, self.refs)
        user = UserSettings(user_config or user_config_path(os.environ))
        self.settings = Settings(database, self.transaction, user)
        self.stat_cache = StatCache(database)
        self.git_map = GitMap(database)
        self.remotes = RemoteState(database, self.transaction)
        self._writing = False

    @classmethod
    def init(
        cls,
        path: Path,
        initial_branch: str = "main",
        user_config: Path | None = None,
        unfinished: Unfinished | None = None,
    ) -> Repository:
        """Make a repository in `path`, all of it or nothing; raises `already-exists`.

        It bears the mark `unfinished` from its first moment on.
        """
        check_ref_name(f"heads/{initial_branch}")
        path = Path(path).absolute()
        folder = path / FOLDER
        if os.path.lexists(folder):
            raise Conflict("already-exists", f'"{path}" holds a repository already')
        building = path / f"{FOLDER}.{os.getpid()}.tmp"
        try:
            path.mkdir(parents=True, exist_ok=True)
            try:
                for name in (SEGMENTS, TEMPORARY):
                    (building / name).mkdir(parents=True)
                (building / LOCK).touch()
                database = Database.create(building / DATABASE)
                database.begin()
                database.execute("INSERT INTO head VALUES (1, ?, NULL)", (f"heads/{initial_branch}",))
                database.commit()
                database.close()
                if unfinished is not None:
                    save_unfinished(building, unfinished)
                sync_folder(building)
                os.rename(building, folder)
                sync_folder(path)
            except BaseException:
                import shutil

                shutil.rmtree(building, ignore_errors=True)
                raise
        except OSError as error:
            if folder.exists():
                raise Conflict("already-exists", f'"{path}" holds a repository already') from None
            raise os_failure(error, path) from error
        return cls.open(path, user_config)

    @classmethod
    def open(cls, path: Path, user_config: Path | None = None) -> Repository:
        """Open the repository whose work tree is exactly `path`.

        Raises `not-a-repository`, `corrupt-database`, `unsupported-store`.
        """
        path = Path(path).absolute()
        if not (path / FOLDER).is_dir():
            raise _not_a_repository(path)
        return cls(path, Database.open(path / FOLDER / DATABASE), user_config)

    @classmethod
    def find(cls, start: Path, user_config: Path | None = None) -> Repository:
        """Open the repository that `start` is in; raises `not-a-repository`."""
        start = Path(start).absolute()
        for path in (start, *start.parents):
            if (path / FOLDER).is_dir():
                return cls.open(path, user_config)
        raise _not_a_repository(start)

    def transaction(self, operation: str | None = None) -> Transaction:
        """Return the only way to write; use it in a `with` block.

        `operation` is the text for the operation log, usually the command line; None keeps it out of the log.
        Raises `locked` while the repository is being cleaned up.
        """
        from muse.store.transaction import Transaction  # with JSON, 4 ms that a reading command saves

        return Transaction(
            self.database,
            self.objects,
            self.appender,
            turn=self._turn_to_write(),
            clock=self.clock,
            operation=operation,
        )

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        """One transaction after the other, and none beside a clean-up."""
        if self._writing:
            raise InternalError(
                "internal", "a transaction was begun inside another one of the same repository"
            )
        self.lock.acquire(False, self.busy_timeout_s)
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
            self.lock.release()

    def close(self) -> None:
        self.appender.close()
        self.objects.forget()
        self.lock.close()
        self.database.close()

    def __enter__(self) -> Repository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _not_a_repository(path: Path) -> NotFound:
    return NotFound(
        "not-a-repository",
        f'"{path}" is not in a repository',
        hint="`muse init` makes one here, `muse clone` copies one",
    )
