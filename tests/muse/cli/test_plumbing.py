"""`cat-file`, `ls-tree`, `rev-parse`, `hash-object`, `fsck`, `gc`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from muse.objects.chunks import CHUNKED_FROM_BYTES

from .conftest import Muse


def test_ids_of_files_are_their_sha256(muse: Muse) -> None:
    content = b"0123456789abcdef" * (CHUNKED_FROM_BYTES // 16)
    muse.write("small", b"content")
    muse.write("large", content)
    digests = [hashlib.sha256(data).hexdigest() for data in (b"content", content)]
    assert muse("hash-object", "small", "large").lines == digests
    assert muse("hash-object", "-w", "small", "large").lines == digests
    assert muse("hash-object", "-", stdin=b"content").lines == digests[:1]
    assert muse("cat-file", "-p", digests[0]).raw == b"content"
    assert muse("hash-object", "small", "--json").json["objects"] == [
        {"path": "small", "id": f"sha256:{digests[0]}", "size_bytes": 7, "stored": False}
    ]
    assert "error[io-error]" in muse("hash-object", "nope", code=9).errors


def test_objects_of_every_kind(muse: Muse) -> None:
    muse.write("large", b"0123456789abcdef" * (CHUNKED_FROM_BYTES // 16))
    commit_id = muse.commit("begin\n\nbody", a_txt="text")
    muse("tag", "v1", "-m", "release")

    def kind(name: str) -> str:
        return muse("cat-file", "-t", name).output.strip()

    names = ["HEAD", "v1", "HEAD:", "HEAD:a.txt", "HEAD:large"]
    assert [kind(name) for name in names] == ["commit", "tag", "tree", "blob", "chunks"]
    assert muse("cat-file", "-s", "HEAD:a.txt").lines == ["4"]
    assert muse("cat-file", "HEAD:a.txt").raw == b"text"
    raw = muse("cat-file", "--raw", "HEAD").raw
    assert raw.startswith(b"muse commit 1\n")
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == commit_id
    assert "tree:      " in muse("cat-file", "HEAD").output
    assert "target:    commit" in muse("cat-file", "v1").output
    for name in names:
        value = muse("cat-file", "--json", name).json
        assert set(value) == {"id", "kind", "size_bytes", "object"}
    assert muse("cat-file", "--json", "HEAD:a.txt").json["object"] == {"text": "text"}
    assert len(muse("cat-file", "--json", "HEAD:large").json["object"]["chunks"]) > 1
    assert muse("show", "HEAD:large").raw == (muse.folder / "large").read_bytes()


def test_listing_directories(muse: Muse) -> None:
    muse.write("d/e/f.txt", "12345")
    muse.write("run", "#!")
    (muse.folder / "run").chmod(0o755)
    (muse.folder / "link").symlink_to("run")
    muse("commit", "-m", "begin")
    rows = muse("ls-tree", "--json").json["entries"]
    assert [(r["path"], r["kind"], r["size_bytes"], r["files"]) for r in rows] == [
        ("d", "directory", 5, 1),
        ("link", "symlink", 3, 1),
        ("run", "executable", 2, 1),
    ]
    assert muse("ls-tree", "-r", "--name-only").lines == ["d/e/f.txt", "link", "run"]
    assert muse("ls-tree", "--name-only", "HEAD", "d").lines == ["d/e"]
    assert muse("ls-tree", "-r", "--name-only", "HEAD", "d/").lines == ["d/e/f.txt"]
    assert muse("ls-tree", "--name-only", "HEAD", "run").lines == ["run"]
    assert muse("ls-tree", "--name-only", "HEAD:d/e").lines == ["f.txt"]
    digest = hashlib.sha256(b"12345").hexdigest()
    assert muse("ls-tree", "HEAD:d/e").lines == [f"file        {digest}           5  f.txt"]
    assert "error[unknown-path]" in muse("ls-tree", "HEAD", "nope", code=3).errors
    assert "error[unknown-path]" in muse("ls-tree", "HEAD:run", code=3).errors


def test_revisions(muse: Muse) -> None:
    first = muse.commit("one", a_txt="1").removeprefix("sha256:")
    second = muse.commit("two", a_txt="2").removeprefix("sha256:")
    assert muse("rev-parse", "HEAD", "main~1", "@{1}", second[:8], "@").lines == [
        second,
        first,
        first,
        second,
        second,
    ]
    assert muse("rev-parse", "--short", "main").lines == [second[:12]]
    assert muse("rev-parse", "--json", "main~1").json == {
        "objects": [{"text": "main~1", "id": f"sha256:{first}", "kind": "commit"}]
    }
    assert "error[unknown-revision]" in muse("rev-parse", "main~5", code=3).errors
    assert "error[bad-revision]" in muse("rev-parse", "main^{", code=2).errors


def test_fsck_of_a_healthy_and_of_a_damaged_repository(muse: Muse) -> None:
    muse.commit("one", a_txt="content " * 1000)
    assert muse("fsck").lines == ["everything is as it was stored"]
    assert muse("fsck", "--json").json == {"ok": True, "rebuilt": None, "problems": []}
    (segment,) = (muse.folder / ".muse" / "segments").iterdir()
    data = bytearray(segment.read_bytes())
    data[len(data) // 3] ^= 255
    segment.write_bytes(data)
    value = muse("fsck", "--json", code=5).json
    assert value["ok"] is False
    assert {"code", "where", "message", "kind", "id"} == set(value["problems"][0])
    assert muse("fsck", code=5).lines[-1].endswith(("problem", "problems"))


def test_a_lost_database_is_rebuilt(muse: Muse) -> None:
    commit_id = muse.commit("one", a_txt="1")
    for path in (muse.folder / ".muse").glob("muse.db*"):
        path.unlink()
    assert "muse fsck --rebuild" in muse("status", code=5).errors
    result = muse("fsck", "--rebuild")
    assert result.lines[0] == "rebuilt the database: 3 objects, 1 commit, 0 refs"
    assert result.lines[1] == "no ref could be read; made heads/recovered-1"
    assert result.lines[-1] == "everything is as it was stored"
    assert muse("branch", "--json").json["branches"][0]["id"] == commit_id


def test_clean_up_with_a_preview(muse: Muse, tmp_path: Path) -> None:
    muse.commit("one", a_txt="1")
    muse.write("large", "x" * 100_000)
    muse("hash-object", "-w", "large")
    preview = muse("gc", "--dry-run", "--json").json
    assert (preview["dry_run"], preview["dead_objects"], preview["live_objects"]) == (True, 1, 3)
    assert muse("gc").lines[0].startswith("removed 1 object, ")
    assert muse("gc", "--json").json["dead_objects"] == 0
    assert muse("fsck", "--json").json["ok"] is True


def test_git_in_and_out(muse: Muse, tmp_path: Path) -> None:
    muse.commit("one", a_txt="1")
    muse.write("d/b", "2")
    muse("commit", "-m", "two")
    muse("tag", "v1", "-m", "release")
    target = tmp_path / "exported"
    value = muse("git", "export", str(target), "--json").json
    assert (value["commits"], value["created"]) == (2, True)
    assert {ref["git_name"] for ref in value["refs"]} == {"refs/heads/main", "refs/tags/v1"}
    other = muse.at(tmp_path / "imported")
    other.folder.mkdir()
    other("init")
    result = other("git", "import", "../exported")
    assert "imported 2 commits" in result.lines[-1]
    assert (other.folder / "d" / "b").read_text() == "2"
    assert other("status", "--json").json["clean"] is True
    assert other("git", "import", "../exported").lines == ["nothing new to import"]
    assert other("oplog", "--json").json["operations"][0]["command"] == "muse git import ../exported"
