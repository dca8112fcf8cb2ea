"""A pack that goes in parts: several at once, and only those that the store does not have."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence

Parts = Sequence[bytes | memoryview]

PARTS_AT_ONCE = 4


def cut(pieces: Parts, part_size_bytes: int) -> list[list[memoryview]]:
    """Cut bytes that lie in pieces into parts of a size, the last one of the rest, without copying them."""
    parts: list[list[memoryview]] = [[]]
    room = part_size_bytes
    for piece in pieces:
        view = memoryview(piece)
        while view:
            if not room:
                parts.append([])
                room = part_size_bytes
            parts[-1].append(view[:room])
            view, room = view[room:], room - min(room, len(view))
    return parts


def hash_part(part: Parts) -> bytes:
    digest = hashlib.sha256()
    for piece in part:
        digest.update(piece)
    return digest.digest()


def send_parts(
    parts: Sequence[Parts],
    stored: Collection[int],
    send: Callable[[int, bytes, Parts], None],
) -> list[bytes]:
    """Call `send(number, sha256, part)` for each part whose number is not in `stored`; returns all hashes.

    Raises the first error; parts that went until then are not sent again by another attempt.
    """
    hashes = [hash_part(part) for part in parts]
    numbers = deque(number for number in range(1, len(parts) + 1) if number not in stored)
    failures: list[BaseException] = []

    def work() -> None:
        while not failures:
            try:
                number = numbers.popleft()
            except IndexError:
                return
            try:
                send(number, hashes[number - 1], parts[number - 1])
            except BaseException as error:
                failures.append(error)

    threads = [
        threading.Thread(target=work, name="part", daemon=True)
        for _ in range(min(PARTS_AT_ONCE, len(numbers)) - 1)
    ]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return hashes
