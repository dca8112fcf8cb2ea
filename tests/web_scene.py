"""A hub with repositories that hold one of everything, for tests of its pages."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.histories import commit_files, make_repository, tag_commit
from tests.hub_process import HubProcess

from muse.history.edit import edit_tree
from muse.objects.commit import Agent, Commit, Person, encode_commit
from muse.objects.ids import Kind
from muse.objects.signature import sign
from muse.objects.tree import EXECUTABLE, FILE, SUBMODULE, SYMLINK, Entry
from muse.remote.push import PushOptions, push
from muse.remote.selection import Wish
from muse.store.repository import Repository
from muse.wire.refs import Ref

README = """\
# Difference engine

See [the guide](docs/guide.md) and ![the wheel](docs/wheel.png). <script>document.title = "taken"</script>

| part | turns |
|---|--:|
| mill | 12 |

```python
import engine
```
"""
MILL = '"""The mill."""\n\n\ndef add(number: int) -> int:\n    return number + 1\n'
ODD_NAME = "räume & töne/ä #1 50%?.txt"


def picture(red: int) -> bytes:
    """A PNG of 8 × 8 pixels."""
    rows = b"".join(b"\0" + bytes((red, 90, 140)) * 8 for _ in range(8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    )


FILES: dict[str, bytes] = {
    "README.md": README.encode(),
    "docs/guide.md": b"# Guide\n\nBack to the [readme](../README.md).\n",
    "docs/wheel.png": picture(200),
    "docs/page.html": b"<script>alert(1)</script><h1>not a page of the hub</h1>",
    "docs/drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "docs/noise.bin": bytes(range(256)) * 40,
    "src/engine/mill.py": MILL.encode(),
    ODD_NAME: "grüße\n".encode(),
    "large.txt": b"a line of a large file\n" * 60_000,
}


class Scene(NamedTuple):
    """`engine` is public and holds everything, `secret` is private; both are the administrator's."""

    hub: HubProcess
    first: str
    agents: str
    feature: str
    pushes: list[str]

    @property
    def url(self) -> str:
        return str(self.hub.origin)

    def visitor(self) -> httpx.Client:
        """Somebody who is not signed in."""
        return httpx.Client(base_url=self.url, headers={"accept": "text/html"})

    @contextmanager
    def sign_in(self, name: str = "admin", password: str | None = None) -> Iterator[httpx.Client]:
        """Somebody who went through the form."""
        with self.visitor() as client:
            answer = submit_login(client, name, password or self.hub.password)
            assert answer.status_code == 303, answer.text
            yield client


EVE_PASSWORD = "correct horse battery"


def submit_login(client: httpx.Client, name: str, password: str, **more: str) -> httpx.Response:
    """Open the form of signing in and send it."""
    client.get("/login")
    fields = {"name": name, "password": password, "form_token": client.cookies.get("musehub_form", "")}
    return client.post("/login", data={**fields, **more})


def build_scene(folder: Path) -> Scene:
    hub = HubProcess(folder / "hub", login_max_failures_per_user=5, web_diff_max_lines=400)
    with httpx.Client(base_url=str(hub.origin), headers={"authorization": f"Bearer {hub.token}"}) as api:
        made = api.post("/api/v1/users", json={"name": "eve", "password": EVE_PASSWORD})
        assert made.status_code == 201, made.text

    engine = make_repository(folder / "engine", f"{hub.origin}/admin/engine")
    first = commit_files(engine, FILES, message="Begin the engine\n\nWith a mill.")
    pushes = [_push(engine, hub, ["heads/main"], "public")]
    agents = _commit_as_agent(engine, first)
    tag_commit(engine, "v1.0", agents)
    mill = MILL.replace("1", "2").encode()
    feature = commit_files(
        engine,
        {
            "docs/wheel.png": picture(20),
            "docs/noise.bin": b"\0other",
            "src/engine/mill.py": mill,
        },
        branch="feature/printer",
        parents=[agents],
        message="Turn by two",
    )
    pushes.append(_push(engine, hub, ["heads/main", "heads/feature/printer", "tags/v1.0"], None))
    engine.close()

    secret = make_repository(folder / "secret", f"{hub.origin}/admin/secret")
    commit_files(secret, {"plans.txt": b"nobody may see this\n"})
    _push(secret, hub, ["heads/main"], None)
    secret.close()
    return Scene(hub, first.hex(), agents.hex(), feature.hex(), pushes)


def _commit_as_agent(repository: Repository, parent: bytes) -> bytes:
    """A signed commit of an agent with an executable, a symbolic link and a submodule."""
    with repository.transaction("test") as transaction:
        run = transaction.put(Kind.BLOB, b"#!/bin/sh\nexit 0\n")
        link = transaction.put(Kind.BLOB, b"README.md")
        changes: dict[str, Entry | None] = {
            "bin/run": Entry("", EXECUTABLE, run, 17),
            "link": Entry("", SYMLINK, link, 9),
            "parts": Entry("", SUBMODULE, bytes.fromhex("ab" * 20) + bytes(12), 0),
            "notes.txt": Entry("", FILE, transaction.put(Kind.BLOB, b""), 0),
        }
        tree = edit_tree(transaction.load, repository.graph(parent).tree, changes, transaction.put)
        person = Person("Ada <b>", "ada@example.org", 1_700_000_500, 120)
        agent = Agent("composer", "m-1", "studio")
        commit = Commit(tree.id, (parent,), person, person, "Add tools & a link", agent, {"take": "3"})
        signed = sign(commit, Ed25519PrivateKey.generate())
        assert isinstance(signed, Commit)
        commit_id = transaction.put(Kind.COMMIT, encode_commit(signed))
        transaction.set_ref("heads/main", commit_id)
    return commit_id


def _push(repository: Repository, hub: HubProcess, refs: list[str], visibility: str | None) -> str:
    with hub.client() as client:
        options = PushOptions(visibility=visibility)
        pushed = push(repository, "origin", [_wish(repository, ref) for ref in refs], client, options=options)
    return pushed.receipt.push_id.hex()


def _wish(repository: Repository, name: str) -> Wish:
    ref = repository.refs.get(name)
    assert ref is not None
    return Wish(name, Ref(ref.target, ref.kind))
