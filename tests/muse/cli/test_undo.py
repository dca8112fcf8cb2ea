"""`undo` and `oplog`."""

from __future__ import annotations

from .conftest import Muse


def test_an_undone_commit_leaves_its_files_as_uncommitted_work(muse: Muse) -> None:
    muse.commit("one", a_txt="1")
    muse.commit("two", a_txt="2")
    assert muse("undo").lines == ["undone: muse commit -m two --json"]
    assert (muse.folder / "a.txt").read_text() == "2"
    assert muse("status").lines == ["on branch main", "  M  a.txt"]
    assert muse("undo", "--redo").lines == ["done again: muse commit -m two --json"]
    assert muse("status", "--json").json["clean"] is True
    assert len(muse("log", "--oneline").lines) == 2


def test_an_undone_switch_takes_the_files_back(muse: Muse) -> None:
    muse.commit("one", a_txt="1")
    muse("switch", "-c", "side")
    muse.commit("two", a_txt="2")
    muse("switch", "main")
    value = muse("undo", "--json").json["operations"][0]
    assert (value["command"], value["refs"]) == ("muse switch main", ["HEAD"])
    assert value["work_tree"] == {"written": 1, "deleted": 0}
    assert (muse.folder / "a.txt").read_text() == "2"
    assert muse("status").lines[0] == "on branch side"


def test_undo_refuses_to_overwrite_work(muse: Muse) -> None:
    muse.commit("one", a_txt="1")
    muse("switch", "-c", "side")
    muse.commit("two", a_txt="2")
    muse("switch", "main")
    muse.write("a.txt", "mine")
    assert "error[would-overwrite]" in muse("undo", code=4).errors
    assert muse("status").lines[0] == "on branch main"


def test_several_at_once_and_until_nothing_is_left(muse: Muse) -> None:
    for number in range(3):
        muse.commit(str(number), a_txt=str(number))
    muse("undo", "-n", "2")
    assert [line[13:] for line in muse("log", "--oneline").lines] == ["(*main) 0"]
    muse("undo")
    assert "no commits yet" in muse("log").output
    assert "error[nothing-to-undo]" in muse("undo", code=2).errors
    assert (muse.folder / "a.txt").read_text() == "2"


def test_the_log_of_operations(muse: Muse) -> None:
    assert muse("oplog").lines == ["no operations yet"]
    first = muse.commit("one", a_txt="1")
    muse("switch", "-c", "a-b")
    muse("tag", "v1", "-m", "it's here")
    muse("undo")
    operations = muse("oplog", "--json").json["operations"]
    assert [(o["id"], o["command"], o["undoes"]) for o in operations] == [
        (4, "muse undo", 3),
        (3, "muse tag v1 -m 'it'\\''s here'", None),
        (2, "muse switch -c a-b", None),
        (1, "muse commit -m one --json", None),
    ]
    assert operations[3]["changes"] == [{"ref": "heads/main", "old": None, "new": first}]
    assert operations[2]["changes"] == [
        {"ref": "HEAD", "old": "heads/main", "new": "heads/a-b"},
        {"ref": "heads/a-b", "old": None, "new": first},
    ]
    assert operations[0]["time"] == "2023-11-14T22:19:20+00:00"
    text = muse("oplog", "-n", "1").lines
    assert text[0] == "4  Tue 14 Nov 2023 22:19:20 +0000  muse undo (undoes 3)"
    assert len(text) == 2
