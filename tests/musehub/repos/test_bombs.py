"""Trees that are small to push and endless, or very deep, to whoever follows every name in them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.musehub.hub import History, HubUser, RunningHub
from tests.musehub.jobs.conftest import Jobs
from tests.musehub.repos.test_browse import browse, tree_of

from muse.errors import LimitReached
from muse.objects.ids import Kind
from muse.objects.tree import DIRECTORY, FILE, Entry, encode_entries
from muse.wire.frames import BLOBS, COMMITS, TREES
from muse.wire.push import RefUpdate
from muse.wire.refs import Ref
from musehub.db.instants import utc_now
from musehub.db.ref_pages import COUNTED_MAX
from musehub.db.refs import replace_refs
from musehub.db.tables import repositories
from musehub.repos.differences import diff_trees
from musehub.repos.directories import MAX_DEPTH, find_entry, iter_files

LEVELS = 6


def nest(history: History, names: list[str], levels: int) -> bytes:
    """A directory that names the same one under every name, and so on."""
    inner = history.put(Kind.BLOB, b"boom")
    kind, size_bytes, files = FILE, 4, 1
    for _ in range(levels):
        entries = [Entry(name, kind, inner, size_bytes, files) for name in names]
        inner, kind = history.put(Kind.TREE, encode_entries(entries)), DIRECTORY
        size_bytes, files = size_bytes * len(names), files * len(names)
    return history.commit(inner)


@pytest.fixture
def ada(hub: RunningHub) -> HubUser:
    return hub.user("ada")


@pytest.fixture
def bomb(ada: HubUser) -> tuple[History, bytes]:
    """A million million million files in a few kilobytes."""
    history = History()
    commit = nest(history, [f"{number:03}" for number in range(1_000)], LEVELS)
    ada.repository("bomb").push_main(history, commit)
    return history, commit


def test_a_bomb_is_too_large_for_a_page_and_takes_no_longer_than_its_limit(
    hub: RunningHub, ada: HubUser, bomb: tuple[History, bytes]
) -> None:
    history, commit = bomb
    browser = browse(hub, ada, "bomb")
    difference = hub.call(diff_trees(browser.reader, None, tree_of(history, commit), 100, 2_000))
    assert difference.has_more
    assert difference.changes == []
    page = ada.request("GET", f"/ada/bomb/commit/{commit.hex()}", headers={"Accept": "text/html"})
    assert page.status == 200
    assert b"Too many changes to show" in page.body

    async def walk() -> None:
        async for _files in iter_files(browser.reader, tree_of(history, commit), 2_000):
            pass

    with pytest.raises(LimitReached) as caught:
        hub.call(walk())
    assert caught.value.code == "too-large"


def test_jobs_say_that_a_bomb_is_too_large_and_analyse_what_comes_after(
    hub: RunningHub, ada: HubUser, bomb: tuple[History, bytes]
) -> None:
    history, commit = bomb
    jobs = Jobs(hub)
    jobs.run(job_max_directories=2_000)
    found = jobs.insights()
    assert found["largest"]["too_large"]
    assert found["languages"]["too_large"]

    after = history.commit(history.snapshot({"a.py": b"1\n"}), commit)
    ada.repository("bomb").push_main(history, after, commit)
    jobs.run()
    found = jobs.insights()
    assert found["largest"]["files"] == [{"path": "a.py", "bytes": 2}]
    assert [item["name"] for item in found["languages"]["languages"]] == ["Python"]


def test_a_clone_of_a_bomb_has_each_of_its_objects_once(ada: HubUser, bomb: tuple[History, bytes]) -> None:
    frames = ada.repository("bomb").fetch().frames()
    counts = {
        frame_type: sum(1 for frame in frames if frame.type == frame_type for _ in frame.records())
        for frame_type in (BLOBS, TREES, COMMITS)
    }
    assert counts == {BLOBS: 1, TREES: LEVELS, COMMITS: 1}


def test_directories_deeper_than_any_file_system_are_refused_and_not_followed(
    hub: RunningHub, ada: HubUser
) -> None:
    history = History()
    commit = nest(history, ["d"], MAX_DEPTH + 2)
    ada.repository("deep").push_main(history, commit)
    browser, tree = browse(hub, ada, "deep"), tree_of(history, commit)
    entry = hub.call(find_entry(browser.reader, tree, "/".join("d" * 20)))
    assert entry is not None
    with pytest.raises(LimitReached):
        hub.call(find_entry(browser.reader, tree, "/".join("d" * (MAX_DEPTH + 1))))
    changes, has_more = hub.call(diff_trees(browser.reader, None, tree, 100, 5_000))
    assert (changes, has_more) == ([], True)

    async def walk() -> None:
        async for _files in iter_files(browser.reader, tree, 100_000):
            pass

    with pytest.raises(LimitReached):
        hub.call(walk())


def test_pages_do_not_grow_with_the_number_of_branches(ada: HubUser) -> None:
    history = History()
    commit = history.commit_files({"a": b"x"})
    remote = ada.repository("many")
    remote.push(history, [RefUpdate(f"heads/b{number:04}", None, commit) for number in range(250)])

    def page(path: str) -> str:
        answer = ada.request("GET", f"/ada/many{path}", headers={"Accept": "text/html"})
        assert answer.status == 200
        return answer.body.decode()

    assert page("/branches").count('class="strong ref-name"') == 100
    assert page("/branches?page=3").count('class="strong ref-name"') == 50
    assert page("/branches?q=b012").count('class="strong ref-name"') == 10
    assert "No branch is called so." in page("/branches?q=zz")
    for path in (f"/commit/{commit.hex()}", "/commits/b0001"):
        shown = page(path)
        assert shown.count('class="badge ref"') == 11
        assert "and 240 more" in shown
        assert f'href="/ada/many/branches?at={commit.hex()}"' in shown
    assert page(f"/branches?at={commit.hex()}").count('class="strong ref-name"') == 100
    assert page(f"/branches?at={bytes(32).hex()}").count('class="strong ref-name"') == 0
    assert "All 250 branches" in page("")
    assert page("").count('href="/ada/many/tree/b0') == 30


def test_pages_of_very_many_branches_do_not_count_them(hub: RunningHub, ada: HubUser) -> None:
    history = History()
    commit = history.commit_files({"a": b"x"})
    ada.repository("many").push_main(history, commit)
    branches: dict[str, Ref | None] = {f"heads/b{number:05}": Ref(commit) for number in range(COUNTED_MAX)}

    async def add_branches() -> None:
        async with hub.database.transaction("add branches") as conn:
            repository_id = (await conn.execute(sa.select(repositories.c.id))).scalar_one()
            await replace_refs(conn, repository_id, branches, utc_now())

    hub.call(add_branches())

    def page(path: str) -> str:
        return ada.request("GET", f"/ada/many{path}", headers={"Accept": "text/html"}).body.decode()

    shown = page("/branches")
    assert ">10,000+<" in shown
    assert shown.index(">main<") < shown.index(">b00000<")
    assert page("/branches?page=101").count('class="strong ref-name"') == 1
    assert "All 10,000+ branches" in page("")
    shown = page(f"/commit/{commit.hex()}")
    assert shown.count('class="badge ref"') == 11
    assert "and many more" in shown


def test_labels_that_are_left_out_are_found_where_the_link_leads(ada: HubUser) -> None:
    """Lightweight and annotated tags at one commit, and branches with the names of some of them."""
    history = History()
    old = history.commit_files({"a": b"old"})
    commit = history.commit_files({"a": b"x"}, old)
    updates = [RefUpdate("heads/main", None, commit), RefUpdate("heads/t03", None, old)]
    updates += [RefUpdate(f"tags/t{number:02}", None, commit) for number in range(8)]
    for number in range(8, 16):
        tag = history.tag(f"t{number:02}", commit)
        updates.append(RefUpdate(f"tags/t{number:02}", None, tag, Kind.TAG))
    ada.repository("tagged").push(history, updates)

    def page(path: str) -> str:
        return ada.request("GET", f"/ada/tagged{path}", headers={"Accept": "text/html"}).body.decode()

    shown = page(f"/commit/{commit.hex()}")
    assert "and 7 more" in shown
    assert 'href="/ada/tagged/tree/tags/t03"' in shown
    assert f'href="/ada/tagged/tags?at={commit.hex()}"' in shown
    assert page(f"/tags?at={commit.hex()}").count('class="strong ref-name"') == 16
    assert page(f"/tags?at={old.hex()}").count('class="strong ref-name"') == 0


@pytest.mark.parametrize("name", ["a%00b", "a%ffb", "x" * 300, "/".join("abcdefgh" * 40)])
def test_what_no_database_holds_is_no_revision(ada: HubUser, name: str) -> None:
    history = History()
    ada.repository("r").push_main(history, history.commit_files({"a": b"x"}))
    assert ada.request("GET", f"/ada/r/tree/{name}", headers={"Accept": "text/html"}).status == 404
    assert ada.request("GET", f"/ada/r/branches?q={name}", headers={"Accept": "text/html"}).status == 200


def test_raw_bytes_have_their_own_size_and_one_type(ada: HubUser) -> None:
    history = History()
    blob = history.put(Kind.BLOB, b"boom")
    tree = history.put(Kind.TREE, encode_entries([Entry("a.txt", FILE, blob, 4, 1)]))
    ada.repository("plain").push_main(history, history.commit(tree))
    answer = ada.request("GET", "/ada/plain/raw/main/a.txt")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"boom", "4")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
