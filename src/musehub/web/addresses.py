"""The address of every page; names are percent-encoded here and nowhere else."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlencode


def escape_path(text: str) -> str:
    """Percent-encode everything but the slashes between names."""
    return quote(text, safe="/")


def owner_address(owner: str) -> str:
    return f"/{quote(owner, safe='')}"


class RepositoryAddresses(NamedTuple):
    """The pages of one repository. A `rev` is a branch, a tag or a commit id in hex."""

    owner: str
    name: str

    @property
    def home(self) -> str:
        return f"/{quote(self.owner, safe='')}/{quote(self.name, safe='')}"

    @property
    def branches(self) -> str:
        return f"{self.home}/branches"

    @property
    def tags(self) -> str:
        return f"{self.home}/tags"

    @property
    def pushes(self) -> str:
        return f"{self.home}/pushes"

    @property
    def insights(self) -> str:
        return f"{self.home}/insights"

    def push(self, push_id: str) -> str:
        return f"{self.pushes}/{push_id}"

    def tree(self, rev: str, path: str = "") -> str:
        return self._at("tree", rev, path)

    def blob(self, rev: str, path: str, **query: str) -> str:
        return self._at("blob", rev, path) + (f"?{urlencode(query)}" if query else "")

    def raw(self, rev: str, path: str) -> str:
        return self._at("raw", rev, path)

    def commit(self, commit_id: str) -> str:
        return f"{self.home}/commit/{commit_id}"

    def commits(self, rev: str, after: str | None = None) -> str:
        """The history of `rev`, of the page that begins below the commit `after`."""
        return self._at("commits", rev, "") + (f"?{urlencode({'after': after})}" if after else "")

    def _at(self, page: str, rev: str, path: str) -> str:
        tail = f"/{escape_path(path)}" if path else ""
        return f"{self.home}/{page}/{escape_path(rev)}{tail}"
