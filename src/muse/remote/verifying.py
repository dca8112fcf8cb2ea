"""Downloaded packs, verified by another process, a copy of this one, while this one does the rest.

Verifying many small objects is half Python: two threads would wait for each other, two processes do not.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import select
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.packs.pack import LoadBase, PackedObject, scan_pack, verify_objects
from muse.wire.fetch import PackAddress
from muse.worktree.beside import can_fork

PAYS_FROM_OBJECTS = 2_000
PAYS_FROM_BYTES = 32 << 20
"""Another process costs as much as some hundred objects."""

MAX_OPEN = 1 << 16


def verify_file(path: Path, load_base: LoadBase) -> list[PackedObject]:
    """Verify every object of a pack; raises what `verify_pack` raises."""
    with _mapped(path) as view:
        objects = scan_pack(view)
        verify_objects(view, objects, load_base)
    return objects


def scan_file(path: Path) -> list[PackedObject]:
    """Return what a pack holds that is verified already."""
    with _mapped(path) as view:
        return scan_pack(view)


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with memoryview(mapped) as view:
        yield view
    mapped.close()  # after an error its traceback still holds parts of it; they go together


class Verifier:
    """Verifies packs from `__enter__` on, in the order in which they are submitted.

    Where there is no such process, or it cannot say that a pack is good, `is_verified` says no: whoever asks
    has to verify the pack, and meets what is wrong with it. `submit` may be called from any thread.
    """

    def __init__(self, packs: Sequence[PackAddress]) -> None:
        """`packs` are those known so far: few small ones are not worth a process."""
        objects = sum(pack.objects for pack in packs)
        pays = objects >= PAYS_FROM_OBJECTS or sum(pack.size_bytes for pack in packs) >= PAYS_FROM_BYTES
        self._is_running = len(packs) > 1 and pays and can_fork()
        self._pid = 0
        self._answers = b""
        self._submitted: set[int] = set()
        self._verdicts: dict[int, bool] = {}

    def __enter__(self) -> Verifier:
        if self._is_running:
            requests, self._requests = os.pipe()
            self._replies, replies = os.pipe()
            self._pid = os.fork()
            if not self._pid:
                _serve(requests, replies)
            os.close(requests)
            os.close(replies)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pid:
            self._is_running = False
            os.close(self._requests)
            os.close(self._replies)
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def submit(self, number: int, path: Path) -> None:
        if self._is_running:
            self._submitted.add(number)
            try:
                os.write(self._requests, json.dumps([number, str(path)]).encode() + b"\n")
            except OSError:
                pass  # it has ended, and no verdict will come

    def works_on(self, number: int) -> bool:
        """Say whether a verdict is still to come."""
        while self._is_running and select.select([self._replies], [], [], 0)[0]:
            self._read()
        return self._is_running and number in self._submitted and number not in self._verdicts

    def is_verified(self, number: int) -> bool:
        """Wait for the verdict, if one is to come."""
        while self._is_running and number in self._submitted and number not in self._verdicts:
            self._read()
        return self._verdicts.get(number, False)

    def _read(self) -> None:
        part = os.read(self._replies, 4096)
        self._is_running = bool(part)
        *lines, self._answers = (self._answers + part).split(b"\n")
        for line in lines:
            number, verdict = line.split()
            self._verdicts[int(number)] = verdict == b"1"


def _serve(requests: int, replies: int) -> None:
    """Never returns, and runs none of what a process does at its end.

    Holds nothing that is open: a lock of the other process ends with that.
    """
    try:
        gc.disable()  # looking for garbage would copy all that the two processes share
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        low, high = sorted((requests, replies))
        os.closerange(0, low)
        os.closerange(low + 1, high)
        os.closerange(high + 1, MAX_OPEN)
        with open(requests, "rb") as lines:
            for line in lines:
                number, path = json.loads(line)
                try:
                    verify_file(Path(path), _load_nothing)
                    verdict = b"1"
                except (MuseError, OSError, _OutsideBase):
                    verdict = b"0"
                os.write(replies, b"%d %s\n" % (number, verdict))
    finally:
        os._exit(0)


class _OutsideBase(Exception):
    """The repository is not open here."""


def _load_nothing(kind: Kind, object_id: bytes) -> bytes:
    raise _OutsideBase
