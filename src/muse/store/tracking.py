"""Which branch of which remote a branch follows.

`branch.<name>.remote` and `branch.<name>.merge` say so; without them it is its namesake on the only remote,
or on `origin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from muse.store.repository import Repository


class Upstream(NamedTuple):
    """`ref` is the branch's name there, `heads/main`; `target` is where it was last seen, None if never."""

    remote: str
    ref: str
    target: bytes | None

    @property
    def short_name(self) -> str:
        return f"{self.remote}/{self.ref.removeprefix('heads/')}"


def find_upstream(repository: Repository, branch: str) -> Upstream:
    """Return what a branch follows, or would."""
    remote = repository.settings.get(f"branch.{branch}.remote") or default_remote(repository)
    ref_name = repository.settings.get(f"branch.{branch}.merge") or f"heads/{branch}"
    ref = repository.refs.get(f"remotes/{remote}/{ref_name}")
    return Upstream(remote, ref_name, ref.target if ref is not None else None)


def default_remote(repository: Repository) -> str:
    """Return `origin`, or the only remote there is."""
    names = [
        key.removeprefix("remote.").removesuffix(".url")
        for key, _, _ in repository.settings.iter("remote.")
        if key.endswith(".url")
    ]
    return names[0] if len(names) == 1 else "origin"
