"""What is in a repository: refs, commits, folders, files, pushes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import Controller, Response, get
from litestar.di import Provide
from litestar.params import FromPath, FromQuery

from muse.errors import LimitReached, NotFound, UsageError
from muse.objects.commit import Commit
from muse.objects.ids import Kind, parse_id
from muse.objects.tree import DIRECTORY, FILE_KINDS, SYMLINK, Entry
from muse.wire.refnames import HEADS
from muse.wire.refs import Ref
from musehub.api.given import GivenBrowser, QueryInteger, page_size, provide_browser
from musehub.db.history import CommitRow
from musehub.push.receipts import receipt_to_json
from musehub.repos.browse import Browser
from musehub.repos.directories import find_entry, load_entries
from musehub.repos.files import load_file

MAX_FILE_BYTES = 16 << 20


class RefAnswer(msgspec.Struct):
    name: str
    target: str
    kind: str


class CommitAnswer(msgspec.Struct):
    """`message` and `parents` are given for a single commit only."""

    id: str
    tree: str
    summary: str
    author_name: str
    author_email: str
    authored_at: datetime
    committer_name: str
    committer_email: str
    committed_at: datetime
    author_kind: str
    agent_name: str | None
    agent_model: str | None
    agent_tool: str | None
    signer_key: str | None
    message: str | None = None
    parents: list[str] | None = None


class HistoryAnswer(msgspec.Struct):
    """`next` are the starts of the next page, to be given as `starts`; empty at the end."""

    commits: list[CommitAnswer]
    next: list[str]


class EntryAnswer(msgspec.Struct):
    name: str
    kind: str
    id: str
    size_bytes: int
    files: int


class ContentController(Controller):
    """What is in a repository. `rev` is a branch, a tag, or an id of a commit or its beginning."""

    path = "/api/v1/repositories/{owner:str}/{name:str}"
    tags = ["content"]
    dependencies = {"browser": Provide(provide_browser)}

    @get("/refs")
    async def list_refs(self, browser: GivenBrowser) -> list[RefAnswer]:
        """All branches (`heads/…`) and tags (`tags/…`)."""
        return [_ref(ref_name, ref) for ref_name, ref in (await browser.refs.load_all()).items()]

    @get("/commits")
    async def history(
        self,
        browser: GivenBrowser,
        rev: FromQuery[str | None] = None,
        starts: FromQuery[str | None] = None,
        limit: QueryInteger = 50,
    ) -> HistoryAnswer:
        """A page of history, newest first, from `rev` or from the `next` of the page before (`starts`)."""
        if starts is not None:
            heads = [parse_id(text) for text in starts.split(",") if text]
        else:
            heads = [(await _resolve(browser, rev)).id]
        page = await browser.load_history(heads, page_size(limit))
        return HistoryAnswer(list(map(_commit, page.commits)), [item.hex() for item in page.rest])

    @get("/commits/{commit_id:str}")
    async def commit(self, commit_id: FromPath[str], browser: GivenBrowser) -> CommitAnswer:
        """One commit with its whole message and its parents."""
        return _whole_commit(*await browser.get_commit(commit_id))

    @get("/tree")
    async def tree(
        self,
        browser: GivenBrowser,
        rev: FromQuery[str | None] = None,
        path: FromQuery[str] = "",
    ) -> list[EntryAnswer]:
        """The entries of a directory."""
        tree_id = (await _resolve(browser, rev)).tree_id
        if path.strip("/"):
            entry = await _find(browser, tree_id, path)
            if entry.kind != DIRECTORY:
                raise NotFound("unknown-path", f'"{path}" is no directory')
            tree_id = entry.id
        return [
            EntryAnswer(entry.name, entry.kind, entry.id.hex(), entry.size_bytes, entry.files)
            for entry in await load_entries(browser.reader, tree_id)
        ]

    @get("/file")
    async def file(
        self,
        path: FromQuery[str],
        browser: GivenBrowser,
        rev: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        """The bytes of a file, or the target of a symbolic link; up to 16 MiB."""
        entry = await _find(browser, (await _resolve(browser, rev)).tree_id, path)
        if entry.kind not in FILE_KINDS and entry.kind != SYMLINK:
            raise NotFound("unknown-path", f'"{path}" is no file')
        if entry.size_bytes > MAX_FILE_BYTES:
            raise LimitReached(
                "too-large", f'"{path}" has {entry.size_bytes} bytes', hint="clone the repository instead"
            )
        return Response(
            await load_file(browser.reader, entry),
            media_type="application/octet-stream",
            headers={"x-content-type-options": "nosniff", "content-security-policy": "sandbox"},
        )

    @get("/pushes")
    async def pushes(
        self,
        browser: GivenBrowser,
        limit: QueryInteger = 50,
        offset: QueryInteger = 0,
    ) -> list[dict[str, Any]]:
        """The pushes into this repository, newest first, with receipts and timelines."""
        rows = await browser.list_pushes(limit=page_size(limit), offset=max(0, offset))
        return [receipt_to_json(row) for row in rows]

    @get("/pushes/{push_id:str}")
    async def push(self, push_id: FromPath[str], browser: GivenBrowser) -> dict[str, Any]:
        """One push."""
        return receipt_to_json(await browser.get_push(push_id))


def _ref(name: str, ref: Ref) -> RefAnswer:
    return RefAnswer(name, ref.target.hex(), Kind(ref.kind).name.lower())


def _commit(row: CommitRow) -> CommitAnswer:
    return CommitAnswer(
        row.id.hex(),
        row.tree_id.hex(),
        row.summary,
        row.author_name,
        row.author_email,
        row.authored_at,
        row.committer_name,
        row.committer_email,
        row.committed_at,
        row.author_kind,
        row.agent_name,
        row.agent_model,
        row.agent_tool,
        row.signer_key.hex() if row.signer_key is not None else None,
    )


def _whole_commit(row: CommitRow, commit: Commit) -> CommitAnswer:
    return msgspec.structs.replace(
        _commit(row), message=commit.message, parents=[parent.hex() for parent in commit.parents]
    )


async def _resolve(browser: Browser, rev: str | None) -> CommitRow:
    text = rev if rev is not None else HEADS + browser.repository.default_branch
    revision, rest = await browser.resolve(text)
    if rest:
        raise NotFound("unknown-revision", f'no branch, tag or commit is called "{text}"')
    return revision.commit


async def _find(browser: Browser, tree_id: bytes, path: str) -> Entry:
    plain = path.strip("/")
    if not plain:
        raise UsageError("bad-arguments", "a path is needed")
    entry = await find_entry(browser.reader, tree_id, plain)
    if entry is None:
        raise NotFound("unknown-path", f'there is no "{path}"')
    return entry
