"""`auth`, `push`, `fetch`, `pull`, `clone` against a real hub."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from tests.hub_process import HubProcess
from tests.scripted_server import Peer, serve_script

from muse.cli import exits
from muse.cli.commands.push import timeline_rows
from muse.wire.refs import Limits

from .conftest import Muse, modules_of, rooms_of
from .test_main import PROGRAM

_numbers = itertools.count(1)
_NO_REFS = json.dumps(
    {
        "protocol": 1,
        "repository": "ada/songs",
        "visibility": "private",
        "default_branch": "main",
        "may_write": True,
        "limits": Limits().to_json(),
        "refs": {},
    }
).encode()


@pytest.fixture
def url(hub_process: HubProcess) -> str:
    """The address of a repository that does not exist yet."""
    return f"{hub_process.origin}/admin/songs-{next(_numbers)}"


@pytest.fixture
def ada(muse: Muse, hub_process: HubProcess, url: str) -> Muse:
    """A user with one commit and a remote, who may push."""
    muse.environment["MUSE_TOKEN"] = hub_process.token
    muse.commit("one", a_txt="1")
    muse("remote", "add", "origin", url)
    return muse


@pytest.fixture
def bob(ada: Muse, url: str) -> Muse:
    """Somebody else with a clone of what ada has pushed."""
    ada("push")
    other = ada.at(ada.folder.parent / "clone")
    ada.at(ada.folder.parent)("clone", url, "clone")
    return other


def test_logging_in_and_out(nowhere: Muse, hub_process: HubProcess) -> None:
    hub = str(hub_process.origin)
    assert "error[not-logged-in]" in nowhere("auth", "whoami", hub, code=6).errors
    wrong = nowhere("auth", "login", hub, "-u", "admin", "--password-stdin", stdin=b"wrong\n", code=6)
    assert "error[bad-credentials]" in wrong.errors
    password = f"{hub_process.password}\n".encode()
    value = nowhere("auth", "login", hub, "-u", "admin", "--password-stdin", "--json", stdin=password).json
    assert (value["hub"], value["user"]) == (hub, "admin")
    assert nowhere("auth", "whoami", hub).lines == [f'"admin" at {hub}, scope admin, administrator']
    credentials = Path(nowhere.environment["HOME"], ".config", "muse", "credentials.json")
    assert credentials.stat().st_mode & 0o777 == 0o600
    assert nowhere("auth", "logout", hub).lines == [f"logged out of {hub}"]
    assert "error[not-logged-in]" in nowhere("auth", "logout", hub, code=6).errors
    assert "no terminal to ask on" in nowhere("auth", "login", hub, code=2).errors
    assert "error[bad-arguments]: say which hub" in nowhere("auth", "login", code=2).errors


def test_a_key_is_made_registered_and_proved(nowhere: Muse, hub_process: HubProcess) -> None:
    hub = str(hub_process.origin)
    nowhere.environment["MUSE_TOKEN"] = hub_process.token
    value = nowhere("auth", "keygen", "--register", hub, "--json").json
    assert len(value["public_key"]) == 64
    assert Path(value["path"]).stat().st_mode & 0o777 == 0o600
    assert "error[already-exists]" in nowhere("auth", "keygen", code=4).errors
    del nowhere.environment["MUSE_TOKEN"]
    nowhere("auth", "login", hub, "--key")
    assert nowhere("auth", "whoami", hub, "--json").json["user"] == "admin"


def test_a_first_push_makes_the_repository_and_the_next_is_nothing(ada: Muse, url: str) -> None:
    lines = ada("push").lines
    short = ada("rev-parse", "--short", "HEAD").output.strip()
    assert lines[:2] == [f"new repository {url}", f"origin/main new at {short}"]
    assert lines[2].startswith("sent 3 objects, ")
    assert ada("push").lines == ['"origin" has everything already']
    assert ada("status").lines[0] == "on branch main, level with origin/main"
    value = ada("push", "--json").json
    assert (value["up_to_date"], value["objects"], value["requests"]) == (True, 0, 1)
    ada.commit("two", a_txt="2")
    assert ada("status").lines[0] == "on branch main, 1 ahead of origin/main"
    value = ada("push", "--json").json
    assert (value["requests"], value["objects"], len(value["updates"])) == (1, 3, 1)


def test_what_became_of_a_push_is_answered_from_anywhere(ada: Muse, url: str) -> None:
    pushed = ada("push", "--json").json
    elsewhere = ada.at(ada.folder.parent / "elsewhere")
    ada.at(ada.folder.parent)("init", "elsewhere")
    elsewhere("remote", "add", "origin", url)
    receipt = elsewhere("push", "--receipt", pushed["push_id"], "origin", "--json").json
    assert (receipt["state"], receipt["push_id"]) == ("done", pushed["push_id"])
    lines = elsewhere("push", "--receipt", pushed["push_id"], "origin").lines
    assert lines[0].startswith(f"push {pushed['push_id']} landed (")
    assert "T" not in lines[0].partition("(")[2].replace("Tue", "").replace("Thu", "")
    assert "receipt-not-found" in ada("push", "origin", "--receipt", code=3).errors
    assert "receipt-not-found" in ada("push", "--receipt", "00" * 16, code=3).errors
    assert "bad-arguments" in ada("push", "--receipt", "beef", code=2).errors


def test_timings_of_a_push(ada: Muse) -> None:
    lines = ada("push", "--timings").lines
    assert "here:" in lines
    assert "in the hub:" in lines[lines.index("here:") :]
    assert sum(line.strip().startswith("all of it") for line in lines) == 2


def test_what_the_hub_did_during_the_upload_is_told_apart() -> None:
    timeline = {
        "total_s": 0.5,
        "phases": [{"name": "decode", "s": 0.5}],
        "uploads": {"packs": 2, "bytes": 3000, "s": 0.25},
        "parts": {"streams": 1, "trees": 1200, "commits": 1, "s": 0.125},
    }
    rows = dict(timeline_rows(timeline))
    assert rows["decode"] == rows["all of it"] == "500.0 ms"
    assert rows["verify packs"].startswith("250.0 ms, 2 packs, ")
    assert rows["check first parts"] == "125.0 ms, 1,200 trees, 1 commit, during the upload"
    assert "check first parts" not in dict(timeline_rows({"phases": [], "parts": None}))


def test_a_new_repository_can_be_public(ada: Muse, url: str) -> None:
    ada("push", "--public")
    other = Muse(ada.folder.parent)
    assert other("clone", url, "public", "--json").json["branch"] == "main"
    assert (ada.folder.parent / "public" / "a.txt").read_text() == "1"


def test_what_one_may_not_see_is_not_there(ada: Muse, url: str) -> None:
    ada("push")
    del ada.environment["MUSE_TOKEN"]
    assert "error[repository-not-found]" in ada("fetch", code=3).errors


def test_clone_fetch_and_pull(ada: Muse, bob: Muse) -> None:
    assert bob("status").lines == [
        "on branch main, level with origin/main",
        "nothing changed since the last commit",
    ]
    bob.commit("from bob", b_txt="2")
    bob("push")
    assert ada("fetch").lines[0].startswith("origin/main ")
    assert ada("fetch").lines == ['nothing new at "origin"']
    assert ada("status").lines[0] == "on branch main, 1 behind origin/main"
    value = ada("pull", "--json").json
    assert (value["commits"], value["written"], value["up_to_date"]) == (1, 1, False)
    assert (ada.folder / "b.txt").read_text() == "2"
    assert ada("pull").lines == ['"main" is up to date']
    ada("undo")
    assert not (ada.folder / "b.txt").exists()


def test_a_clone_of_one_branch_pulls_that_one_and_others_by_name(ada: Muse, url: str) -> None:
    ada("push")
    ada("switch", "-c", "side")
    ada.commit("beside", c_txt="3")
    ada("push", "origin", "side")
    folder = ada.folder.parent
    assert ada.at(folder)("clone", url, "one", "--only", "main", "--json").json["branches"] == 1
    one = ada.at(folder / "one")
    assert one("pull").lines == ['"main" is up to date']
    assert one("rev-parse", "origin/side", code=3).errors
    one("pull", "origin", "side")
    assert (one.folder / "c.txt").read_text() == "3"
    assert one("rev-parse", "origin/side").lines == ada("rev-parse", "side").lines
    assert "error[unknown-branch]" in one("pull", "origin", "none", code=3).errors
    refused = ada.at(folder)("clone", url, "two", "--only", "main", "-b", "side", code=2)
    assert "error[bad-arguments]" in refused.errors


def test_pull_refuses_what_would_lose_work(ada: Muse, bob: Muse) -> None:
    bob.commit("from bob", b_txt="theirs")
    bob("push")
    ada.write("b.txt", "mine")
    assert "error[would-overwrite]" in ada("pull", code=4).errors
    assert (ada.folder / "b.txt").read_text() == "mine"
    ada.commit("from ada", b_txt="mine")
    result = ada("pull", code=4)
    assert 'error[diverged]: "main" and "origin/main" both have new commits: 1 here, 1 there' in result.errors
    refused = ada("push", code=4)
    assert "error[not-fast-forward]" in refused.errors
    assert "`muse pull` brings them, or says how" in refused.errors
    first, second = "muse branch -m main-mine", "muse switch -c main origin/main"
    third = "muse restore --source main-mine"
    assert all(command in result.errors for command in (first, second, third))
    ada(*first.split()[1:])
    ada(*second.split()[1:])
    ada(*third.split()[1:], "b.txt")
    ada("commit", "-m", "mine on top of theirs")
    ada("push")
    bob("pull")
    assert (bob.folder / "b.txt").read_text() == "mine"


def test_bytes_of_a_small_fetch_are_counted(ada: Muse, bob: Muse) -> None:
    bob.commit("from bob", b_txt="2")
    bob("push")
    assert ada("fetch", "--json").json["bytes_received"] > 100


def test_names_in_errors_stay_on_their_line(muse: Muse) -> None:
    errors = muse("restore", "a\nerror: b\u200b", code=3).errors
    assert "a\\nerror: b\\u200b" in errors


def test_a_lease_holds_only_against_what_was_seen(ada: Muse, bob: Muse) -> None:
    ada.commit("rewritten", a_txt="other")
    bob.commit("unseen", b_txt="2")
    bob("push")
    assert "error[stale-head]" in ada("push", "--force-with-lease", code=4).errors
    ada("fetch")
    ada("push", "--force-with-lease")
    assert bob("fetch").lines[0].endswith("(was overwritten there)")


def test_branches_and_tags_are_pushed_and_deleted(ada: Muse, url: str) -> None:
    ada("branch", "side")
    ada("tag", "v1", "-m", "release")
    updates = ada("push", "--all", "--tags", "--json").json["updates"]
    assert [update["ref"] for update in updates] == ["heads/main", "heads/side", "tags/v1"]
    ada("push", "origin", "main:review/main")
    assert ada("push", "-d", "origin", "side", "review/main").lines[0].startswith("origin/side deleted, was ")
    assert "error[unknown-branch]" in ada("push", "-d", "origin", "side", code=3).errors
    other = ada.at(ada.folder.parent / "clone")
    ada.at(ada.folder.parent)("clone", url, "clone")
    assert [tag["name"] for tag in other("tag", "--json").json["tags"]] == ["v1"]
    assert [ref["ref"] for ref in other("branch", "-a", "--json").json["branches"]] == [
        "heads/main",
        "remotes/origin/heads/main",
    ]


def test_switching_to_a_branch_of_the_remote_follows_it(ada: Muse, bob: Muse) -> None:
    bob("switch", "-c", "side")
    bob.commit("on side", s_txt="1")
    bob("push")
    ada("fetch")
    assert ada("switch", "side").lines == ['switched to new branch "side", which follows origin/side']
    assert (ada.folder / "s.txt").exists()
    assert ada("status").lines[0] == "on branch side, level with origin/side"


def test_a_clone_that_fails_leaves_nothing(ada: Muse, url: str, hub_process: HubProcess) -> None:
    ada("push")
    user = ada.at(ada.folder.parent)
    assert "error[unknown-branch]" in user("clone", url, "c", "--branch", "nope", code=3).errors
    assert not (user.folder / "c").exists()
    assert (
        "error[repository-not-found]"
        in user("clone", f"{hub_process.origin}/admin/nothing", "c", code=3).errors
    )
    (user.folder / "full").mkdir()
    user.write("full/file", "x")
    assert "error[already-exists]" in user("clone", url, "full", code=4).errors


def test_no_hub_at_that_address(muse: Muse) -> None:
    muse.commit("one", a_txt="1")
    assert "error[unknown-remote]" in muse("push", code=3).errors
    muse("remote", "add", "origin", "http://127.0.0.1:9/ada/songs")
    error = json.loads(muse("fetch", "--json", code=7).errors)["error"]
    assert error["code"] == "remote-unreachable"


def test_what_is_no_remote_gets_a_hint_that_fits(muse: Muse) -> None:
    muse.commit("one", a_txt="1")
    errors = muse("push", "http://127.0.0.1:9/ada/songs", code=3).errors
    assert "muse remote add origin http://127.0.0.1:9/ada/songs" in errors
    assert "http://127.0.0.1:1337" in muse("auth", "login", "127.0.0.1:1337", code=3).errors
    assert "muse remote add upstream http" in muse("push", "upstream", code=3).errors


def test_a_refused_token_is_named_where_it_came_from(ada: Muse, hub_process: HubProcess) -> None:
    ada.environment["MUSE_TOKEN"] = "mht_nobody"
    assert "hint: this is the token in MUSE_TOKEN" in ada("push", code=6).errors
    arguments = ("auth", "login", str(hub_process.origin), "--user", "admin", "--password-stdin")
    assert "MUSE_TOKEN" not in ada(*arguments, stdin=b"wrong\n", code=6).errors


def test_an_interrupted_push_says_that_it_can_be_taken_up(muse: Muse) -> None:
    begun, over = threading.Event(), threading.Event()

    def hang(peer: Peer) -> None:
        while (first := peer.read_head()[0]).startswith("GET"):
            peer.answer(200, _NO_REFS, content_type="application/json")
        if first:
            begun.set()
            over.wait(60)

    muse.environment["MUSE_TOKEN"] = "mht_some"
    muse.commit("one", a_txt="1")
    with serve_script(hang) as server:
        muse("remote", "add", "origin", f"{server.origin}/ada/songs")
        with subprocess.Popen(
            [PROGRAM, "push"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=muse.folder,
            env=muse.environment,
            text=True,
        ) as process:
            assert begun.wait(60)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate()
            over.set()
    assert (process.returncode, output) == (exits.INTERRUPTED, "")
    assert errors.startswith("warning: this push has not ended\nhint: push again when you like")


def test_a_push_that_lost_the_hub_says_that_it_can_be_taken_up(muse: Muse) -> None:
    broken = b'{"error": {"code": "not-a-hub", "message": "odd", "hint": "look there", "retry": false}}'

    def fail(peer: Peer) -> None:
        while (first := peer.read_request()[0]) != "":
            if first.startswith("GET"):
                peer.answer(200, _NO_REFS, content_type="application/json")
            else:
                peer.answer(400, broken, content_type="application/json")

    muse.environment["MUSE_TOKEN"] = "mht_some"
    muse.commit("one", a_txt="1")
    with serve_script(fail) as server:
        muse("remote", "add", "origin", f"{server.origin}/ada/songs")
        errors = muse("push", code=7).errors
    assert "hint: look there; then push again: what has arrived is not sent twice" in errors


def test_push_imports_only_what_it_needs(ada: Muse) -> None:
    ada("push")
    loaded = modules_of(["push"], ada.folder, ada.environment)
    assert loaded <= _PUSH_MODULES, loaded - _PUSH_MODULES
    rooms = rooms_of(["push"], ada.folder, ada.environment)
    assert "remote.push" in rooms
    for unneeded in (
        "history.missing",
        "remote.plan",
        "remote.delivery",
        "remote.upload",
        "store.transaction",
    ):
        assert unneeded not in rooms


_PUSH_MODULES = {
    *("__future__", "argparse", "array", "backports", "bisect", "collections", "contextlib", "copyreg"),
    *(
        "datetime",
        "enum",
        "errno",
        "fcntl",
        "fnmatch",
        "functools",
        "gettext",
        "hashlib",
        "heapq",
        "importlib",
    ),
    *("ipaddress", "itertools", "json", "keyword", "locale", "math", "muse", "ntpath", "operator", "pathlib"),
    *(
        "re",
        "reprlib",
        "select",
        "selectors",
        "socket",
        "sqlite3",
        "stringprep",
        "struct",
        "threading",
        "types",
    ),
    *("typing", "unicodedata", "urllib", "warnings"),
}
