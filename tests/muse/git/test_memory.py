"""Memory stays bounded whatever passes through."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.muse.git.gitrepo import GitRepo, assert_same

LIMIT_MIB = 256
# Not ru_maxrss: that of a new process begins with what its parent had.
PROGRAM = """
import re, sys
from pathlib import Path
from muse.git.exporter import export_git
from muse.git.importer import import_git
from muse.store.repository import Repository
with Repository.init(Path(sys.argv[2])) as repository:
    import_git(repository, sys.argv[1])
    export_git(repository, Path(sys.argv[3]), bare=True)
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def peak_mib(source: Path, tmp_path: Path) -> int:
    """Import and export in a process of its own; returns what it took at most."""
    command = [sys.executable, "-c", PROGRAM, source, tmp_path / "muse", tmp_path / "target.git"]
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return int(result.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_file_of_300_mb(source: GitRepo, tmp_path: Path) -> None:
    piece = random.Random(300).randbytes(1 << 20)
    large = b"".join(bytes([n % 256]) + piece for n in range(300))
    source.ref("refs/heads/main", source.commit({"large.bin": large}))
    del large
    assert peak_mib(source.path, tmp_path) < LIMIT_MIB
    assert_same(source.path, tmp_path / "target.git", fsck=False)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_directory_of_30_000_files_in_20_versions(source: GitRepo, tmp_path: Path) -> None:
    blobs = [source.blob(b"%d\n" % number) for number in range(40)]
    choose = random.Random(30)
    items = [("100644", b"%08d.txt" % number, choose.choice(blobs)) for number in range(30_000)]
    parents: list[str] = []
    for _ in range(20):
        for _ in range(10):
            at = choose.randrange(len(items))
            items[at] = (items[at][0], items[at][1], choose.choice(blobs))
        parents = [source.commit(source.raw_tree(items), parents)]
    source.ref("refs/heads/main", parents[0])
    assert peak_mib(source.path, tmp_path) < LIMIT_MIB
    assert_same(source.path, tmp_path / "target.git", fsck=False)
