"""The folder of backups: packs that they share, and which backup is the newest."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from muse.errors import CorruptStore, Environment, InvalidData, MuseError, NotFound, UsageError
from musehub.storage.port import Store, pack_key
from musehub.upkeep.compressed import open_reader

FORMAT = 1
MANIFEST = "backup.json"
COPIES_AT_ONCE = 4

Report = Callable[[str], None]


async def copy_packs(
    store: Store, folder: Path, wanted: list[tuple[int, bytes, int]], report: Report
) -> tuple[list[int], list[str]]:
    """Copy those that are not there; returns their sizes, and the keys of those the store does not have."""
    copied: list[int] = []
    missing: list[str] = []
    fresh = [item for item in wanted if not _lies(folder / pack_key(item[0], item[1]), item[2])]
    gate = asyncio.Semaphore(COPIES_AT_ONCE)

    async def copy(repository_id: int, digest: bytes) -> None:
        key = pack_key(repository_id, digest)
        async with gate:
            try:
                async with store.open(key) as view:
                    await asyncio.to_thread(_write_pack, view, folder / key, digest)
                    copied.append(len(view))
            except NotFound:
                missing.append(key)
            except InvalidData as error:
                missing.append(f"{key} ({error.message})")
            report(f"pack {len(copied)} of {len(fresh)}")

    await asyncio.gather(*(copy(repository_id, digest) for repository_id, digest, _size in fresh))
    return copied, missing


def _lies(path: Path, size_bytes: int) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_size == size_bytes
    return False


def _write_pack(view: memoryview, path: Path, digest: bytes) -> None:
    if hashlib.sha256(view).digest() != digest:
        raise InvalidData("wrong-hash", "damaged in the store")
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(view)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


async def put_pack(store: Store, key: str, path: Path, digest: bytes) -> bool:
    """Bring a pack into the store unless it lies there; the store checks the hash. False if it is nowhere."""
    lying = await store.head(key)
    try:
        data = await asyncio.to_thread(path.read_bytes)
    except OSError:
        return lying is not None
    if lying is not None and lying.size_bytes == len(data):
        return True
    try:
        await store.put(key, [data], digest)
    except InvalidData:
        return False
    return True


def write_manifest(folder: Path, target: Path, manifest: Mapping[str, Any]) -> None:
    """Say that a backup is complete, and the newest."""
    text = json.dumps(manifest, indent=1)
    with translated(target):
        (target / MANIFEST).write_text(text + "\n")
        part = folder / (MANIFEST + ".part")
        with part.open("w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The newest backup; raises `unknown-path`, `corrupt-segment`, `unsupported-version`."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise NotFound("unknown-path", f'there is no backup in "{folder}"') from None
    except (OSError, ValueError) as error:
        raise CorruptStore("corrupt-segment", f'"{path}" cannot be read: {error}') from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UsageError("unsupported-version", f'"{path}" is of another format than {FORMAT}')
    return manifest


def drop_old(folder: Path, keep: int) -> None:
    """Remove all but the newest databases, and packs that none of those names."""
    kept = sorted(path for path in folder.glob("database-*") if path.is_dir())
    for path in kept[: -max(1, keep)]:
        shutil.rmtree(path)
    named: set[str] = set()
    for path in kept[-max(1, keep) :]:
        try:
            named |= _named_packs(path)
        except (OSError, ValueError, MuseError):
            return  # unfinished or damaged: keep every pack
    for path in folder.glob("packs/*/*"):
        if path.relative_to(folder).as_posix() not in named:
            path.unlink()


def _named_packs(source: Path) -> set[str]:
    with open_reader(source / "packs.zst") as lines:
        columns = json.loads(next(lines))["columns"]
        repository, digest = columns.index("repository_id"), columns.index("digest")
        rows = (json.loads(line) for line in lines)
        return {pack_key(row[repository], base64.b64decode(row[digest]["b"])) for row in rows}


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Say what the operating system refuses to do with a file as an error of ours."""
    try:
        yield
    except OSError as error:
        code = "disk-full" if error.errno == errno.ENOSPC else "io-error"
        raise Environment(code, f'"{path}": {error.strerror}') from error
