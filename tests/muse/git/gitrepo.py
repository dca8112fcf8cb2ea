"""Git repositories for tests, written object by object: any bytes, no process per object."""

from __future__ import annotations

import hashlib
import subprocess
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

GIT_CONFIG = ("-c", "init.defaultBranch=main", "-c", "safe.directory=*", "-c", "protocol.file.allow=always")
ADA = "Ada <ada@example.org>"

File = bytes | tuple[str, bytes]
"""Content of a file, or mode and content; for a submodule mode 160000 and the id in hex digits."""


def git(path: Path, *arguments: str, input: bytes = b"") -> str:
    command = ["git", "-C", str(path), *GIT_CONFIG, *arguments]
    result = subprocess.run(command, input=input, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    return result.stdout.decode(errors="surrogateescape").strip()


class GitRepo:
    """A bare repository. Ids are hex digits."""

    def __init__(self, path: Path, object_format: str = "sha1") -> None:
        self.path = path
        self.object_format = object_format
        path.mkdir(parents=True, exist_ok=True)
        git(path, "init", "--quiet", "--bare", f"--object-format={object_format}")
        self._time = 1_700_000_000

    def git(self, *arguments: str, input: bytes = b"") -> str:
        return git(self.path, *arguments, input=input)

    def put(self, kind: str, data: bytes) -> str:
        """Write a loose object, however malformed."""
        whole = b"%b %d\0%b" % (kind.encode(), len(data), data)
        name = hashlib.new(self.object_format, whole, usedforsecurity=False).hexdigest()
        file = self.path / "objects" / name[:2] / name[2:]
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(zlib.compress(whole, 1 if len(whole) < 1 << 20 else 0))
        return name

    def blob(self, data: bytes) -> str:
        return self.put("blob", data)

    def raw_tree(self, items: Iterable[tuple[str, bytes, str]]) -> str:
        """Write a tree of (mode, name, id) in exactly this order."""
        lines = (b"%b %b\0%b" % (mode.encode(), name, bytes.fromhex(digits)) for mode, name, digits in items)
        return self.put("tree", b"".join(lines))

    def tree(self, files: Mapping[str, File]) -> str:
        """Write the tree of these paths with all its directories."""
        here: list[tuple[str, bytes, str]] = []
        below: dict[str, dict[str, File]] = {}
        for path, file in files.items():
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, {})[rest] = file
                continue
            mode, content = ("100644", file) if isinstance(file, bytes) else file
            object_id = content.decode() if mode == "160000" else self.blob(content)
            here.append((mode, name.encode(), object_id))
        here += [("40000", name.encode(), self.tree(inner)) for name, inner in below.items()]
        return self.raw_tree(sorted(here, key=lambda item: item[1] + (b"/" if item[0] == "40000" else b"")))

    def commit(
        self,
        tree: str | Mapping[str, File],
        parents: Sequence[str] = (),
        message: str = "a change\n",
        *,
        author: str = ADA,
        committer: str = ADA,
        offset: str = "+0100",
    ) -> str:
        self._time += 60
        when = f"{self._time} {offset}"
        rest = f"author {author} {when}\ncommitter {committer} {when}\n\n{message}"
        return self.raw_commit(tree, parents, rest.encode())

    def raw_commit(self, tree: str | Mapping[str, File], parents: Sequence[str], rest: bytes) -> str:
        tree_id = tree if isinstance(tree, str) else self.tree(tree)
        links = "".join([f"tree {tree_id}\n", *(f"parent {parent}\n" for parent in parents)])
        return self.put("commit", links.encode() + rest)

    def tag(self, target: str, kind: str, name: str, message: str = "a tag\n") -> str:
        text = f"object {target}\ntype {kind}\ntag {name}\ntagger {ADA} {self._time} +0000\n\n{message}"
        return self.put("tag", text.encode())

    def ref(self, name: str, target: str) -> str:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{target}\n")
        return target

    def delete_ref(self, name: str) -> None:
        self.git("update-ref", "-d", name)


def refs_of(path: Path) -> dict[str, str]:
    """Return the refs of a repository and HEAD, with the ids that they name directly."""
    lines = git(path, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    head = (path / "HEAD" if (path / "HEAD").is_file() else path / ".git" / "HEAD").read_text().strip()
    return {"HEAD": head, **dict(line.split(" ") for line in lines)}


def objects_of(path: Path) -> list[str]:
    """Return the ids of all objects that refs reach."""
    return sorted(line.split(" ")[0] for line in git(path, "rev-list", "--objects", "--all").splitlines())


def assert_same(source: Path, target: Path, *, fsck: bool = True) -> None:
    """Both have the same refs, the same commits and every object under them, intact."""
    assert refs_of(target) == refs_of(source)
    assert git(target, "rev-list", "--all", "--topo-order") == git(
        source, "rev-list", "--all", "--topo-order"
    )
    assert objects_of(target) == objects_of(source)
    if fsck:
        git(target, "fsck", "--full", "--no-dangling")
