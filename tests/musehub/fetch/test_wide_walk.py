"""What is had at many places is looked at for what is wanted there, and not for all that it names."""

from __future__ import annotations

from tests.musehub.hub import History, RunningHub
from tests.musehub.repos.test_browse import browse

from muse.objects.ids import Kind
from muse.objects.tree import DIRECTORY, FILE, Entry, encode_entries
from musehub.fetch.trees import TreeWalk

WIDE = 200


def directory(history: History, names: list[str], child: Entry) -> Entry:
    """A directory that has `child` under each of these names."""
    entries = [child._replace(name=name) for name in names]
    size_bytes = sum(entry.size_bytes for entry in entries)
    files = sum(entry.files for entry in entries)
    return Entry("", DIRECTORY, history.put(Kind.TREE, encode_entries(entries)), size_bytes, files)


def test_the_cost_of_a_walk_is_what_is_wanted_and_not_that_times_what_is_had(hub: RunningHub) -> None:
    history = History()
    names = [f"{number:03}" for number in range(WIDE)]
    file = Entry("", FILE, history.put(Kind.BLOB, b"x"), 1, 1)
    shared = directory(history, names, directory(history, ["x"], file))
    had = directory(history, names, shared)
    changed = []
    blobs = set()
    for number in range(WIDE):
        blob = history.put(Kind.BLOB, b"%d" % number)
        blobs.add(blob)
        entry = Entry("", FILE, blob, len(b"%d" % number), 1)
        changed.append(directory(history, ["000"], entry)._replace(name=names[number]))
    wanted = history.put(Kind.TREE, encode_entries(changed))
    first = history.commit(had.id)
    ada, commit = hub.user("ada"), history.commit(wanted, first)
    ada.repository("wide").push_main(history, commit)

    browser = browse(hub, ada, "wide")
    walk = TreeWalk(hub.database, browser.reader, browser.repository.id)
    hub.call(walk.run([wanted], [had.id]))
    assert walk.blobs == blobs
    assert {object_id for _at, _kind, object_id in walk.records} == {wanted, *(entry.id for entry in changed)}
    assert walk.compared <= 3 * WIDE
