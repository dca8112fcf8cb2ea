"""A cache of decoded objects, bounded in bytes."""

from __future__ import annotations

from threading import Lock

MAX_BYTES = 32 << 20
MAX_OBJECT_BYTES = 512 << 10
"""Larger ones are chunks of large files: read once, and eight of them would push out thousands of trees."""

Key = tuple[int, bytes]


class ObjectCache:
    """Keeps the objects used last; safe to use from several threads."""

    def __init__(self) -> None:
        self._size_bytes = 0
        self._objects: dict[Key, bytes] = {}
        self._lock = Lock()

    def find(self, key: Key) -> bytes | None:
        with self._lock:
            data = self._objects.pop(key, None)
            if data is not None:
                self._objects[key] = data
            return data

    def add(self, key: Key, data: bytes) -> None:
        if len(data) > MAX_OBJECT_BYTES:
            return
        with self._lock:
            objects = self._objects
            if key in objects:
                return
            objects[key] = data
            self._size_bytes += len(data)
            while self._size_bytes > MAX_BYTES:
                self._size_bytes -= len(objects.pop(next(iter(objects))))

    def add_many(self, kind: int, found: dict[bytes, bytes]) -> None:
        with self._lock:
            objects = self._objects
            for object_id, data in found.items():
                key = (kind, object_id)
                if len(data) <= MAX_OBJECT_BYTES and key not in objects:
                    objects[key] = data
                    self._size_bytes += len(data)
            while self._size_bytes > MAX_BYTES:
                self._size_bytes -= len(objects.pop(next(iter(objects))))

    def clear(self) -> None:
        with self._lock:
            self._objects.clear()
            self._size_bytes = 0
