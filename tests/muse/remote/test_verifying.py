"""Packs are verified by another process; what it cannot say is asked of nobody else's word."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from muse.objects.ids import Kind, hash_bytes
from muse.packs.pack import PackWriter
from muse.packs.record import encode_object

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux only")


def _write_pack(path: Path, id_of: bytes, data: bytes, base: bytes | None = None) -> None:
    writer = PackWriter()
    pair = None if base is None else (hash_bytes(base), base)
    writer.add(hash_bytes(id_of), encode_object(Kind.BLOB, data, pair))
    path.write_bytes(b"".join(writer.seal()[1]))


def _ask(folder: Path, *, hurt: str = "") -> list[str]:
    """Have the packs 0 to 3 verified where nothing else runs; returns the verdicts."""
    script = f"""
    import os, sys
    from pathlib import Path
    os.sched_getaffinity = lambda _pid: {{0, 1}}
    from muse.remote import verifying
    from muse.wire.fetch import PackAddress
    from muse.wire.uploads import SignedRequest
    first = os.getpid()
    def hear(event, arguments):
        {hurt or "pass"}
    sys.addaudithook(hear)
    pack = PackAddress(bytes(32), 100, 5_000, SignedRequest("GET", "/", {{}}, ""))
    with verifying.Verifier([pack, pack]) as verifier:
        for number in range(4):
            verifier.submit(number, Path(sys.argv[1]) / str(number))
        print([verifier.is_verified(number) for number in range(4)], verifier.works_on(0))
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("alone")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), folder], check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    text = bytes(range(256)) * 8
    _write_pack(tmp_path / "0", b"right", b"right")
    _write_pack(tmp_path / "1", b"right", b"wrong")
    _write_pack(tmp_path / "2", text + b"!", text + b"!", base=text)
    (tmp_path / "3").write_bytes(b"no pack")
    return tmp_path


def test_only_what_is_right_in_itself_is_verified(packs: Path) -> None:
    assert _ask(packs) == ["[True, False, False, False] False", "alone"]


def test_a_process_that_is_killed_has_verified_nothing_more(packs: Path) -> None:
    hurt = 'if os.getpid() != first and event == "open": os._exit(9)'
    assert _ask(packs, hurt=hurt) == ["[False, False, False, False] False", "alone"]
