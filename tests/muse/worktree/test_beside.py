"""Half of a large checkout is written by another process; nobody can tell from the outcome."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from tests.muse.worktree.scene import Content, Scene, Script, opened_paths

from muse.objects.ids import Kind, hash_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux only")

FILES: dict[str, Content] = {
    **{f"d{number % 40}/f{number}": b"%d " % number * 9 for number in range(1200)},
    **{f"d{number}/copy": b"twice" for number in range(5)},
    "d1/run": Script(b"#!"), "d2/empty": b"", "top": b"1",
}  # fmt: skip


def _checkout_in_a_process(scene: Scene, tree: bytes, *, hurt: str = "") -> tuple[int, str]:
    """Check out where nothing else runs, so that the work is shared; returns (processes made, error code)."""
    script = f"""
    import os, sys
    from pathlib import Path
    from muse.errors import MuseError
    from muse.store.repository import Repository
    from muse.worktree.checkout import checkout
    os.sched_getaffinity = lambda _pid: {{0, 1}}
    forks, first, root = 0, os.getpid(), Path(sys.argv[1])
    def hear(event, arguments):
        global forks
        forks += event == "os.fork"
        {hurt or "pass"}
    sys.addaudithook(hear)
    code = ""
    with Repository.open(root) as repository:
        try:
            checkout(repository, None, None, bytes.fromhex(sys.argv[2]))
        except MuseError as error:
            code = error.code
    print(forks, code)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), scene.work_dir, tree.hex()],
        check=True,
        capture_output=True,
        text=True,
    )
    forks, _, code = done.stdout.strip().partition(" ")
    return int(forks), code


def test_a_shared_checkout_makes_exactly_the_tree(scene: Scene) -> None:
    tree = scene.tree(FILES)
    assert _checkout_in_a_process(scene, tree) == (1, "")
    scene.point_at(tree)
    assert scene.disk() == FILES
    with opened_paths() as opened:
        assert scene.status().is_clean
    assert [path for path in opened if "/f" in path] == []


def test_what_the_other_process_does_not_write_is_written_here(scene: Scene) -> None:
    tree = scene.tree(FILES)
    hurt = 'if os.getpid() != first and event == "open" and arguments[0] == "f900": raise OSError(28, "full")'
    assert _checkout_in_a_process(scene, tree, hurt=hurt) == (1, "")
    assert scene.disk() == FILES


def test_what_fails_there_fails_here(scene: Scene) -> None:
    tree = scene.tree(FILES)
    hurt = 'if event == "open" and arguments[0] == "f900": raise OSError(28, "full")'
    assert _checkout_in_a_process(scene, tree, hurt=hurt) == (1, "disk-full")
    scene.checkout(None, tree)
    assert scene.disk() == FILES


def test_a_process_that_is_killed_leaves_a_checkout_that_can_be_repeated(scene: Scene) -> None:
    tree = scene.tree(FILES)
    hurt = 'if os.getpid() != first and event == "open" and arguments[0] == "f900": os._exit(9)'
    assert _checkout_in_a_process(scene, tree, hurt=hurt) == (1, "would-overwrite")
    scene.checkout(None, tree)
    assert scene.disk() == FILES


def test_a_damaged_object_is_found_by_whoever_reads_it(scene: Scene) -> None:
    tree = scene.tree(FILES)
    [place] = scene.repository.objects.find_places(Kind.BLOB, [hash_bytes(b"900 " * 9)])
    scene.repository.close()
    segment = scene.work_dir / ".muse" / "segments" / f"{place.segment:08}.seg"
    data = bytearray(segment.read_bytes())
    data[place.end - 3] ^= 1
    segment.write_bytes(data)
    assert _checkout_in_a_process(scene, tree) == (1, "corrupt-object")


def test_work_beside_can_be_left() -> None:
    script = """
    import os, signal
    from contextlib import suppress
    from muse.worktree.beside import Beside

    def never_ends():
        while True:
            signal.pause()

    with Beside(lambda: b"x" * 200_000) as beside:
        assert len(beside.collect()) == 200_000
    with suppress(ZeroDivisionError), Beside(never_ends):
        1 // 0
    with Beside(lambda: b"%d" % (1 // 0)) as beside:
        assert beside.collect() == b""
    with suppress(ChildProcessError):  # because there is no process left
        os.waitpid(-1, os.WNOHANG)
        raise AssertionError
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
