"""Which untracked names a work tree leaves out (docs/ignore.md).

A folder that has a `.museignore`, or lies below one that has, is ruled by `.museignore` files alone; every
other folder is ruled by the `.gitignore` files in it and above it. What is tracked stays tracked whatever a
pattern says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import re

    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

MUSE_FILE = ".museignore"
GIT_FILE = ".gitignore"
NO_RULES = bytes(16)

LoadFile = Callable[[str], bytes]
"""Returns the bytes of an ignore file by its slash path, b"" when it cannot be read."""


class _Pattern(NamedTuple):
    search: Callable[[str], re.Match[str] | None]
    ignores: bool
    by_name: bool


class Patterns:
    """One ignore file, compiled. This takes 30 ms, and is only done when an unknown name turns up."""

    def __init__(self, content: bytes) -> None:
        import re

        from pathspec.patterns.gitignore import GitIgnorePatternError
        from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

        text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        patterns: list[_Pattern] = []
        quick: tuple[list[str], list[str]] = ([], [])
        for line in text.split("\n"):
            try:
                pattern = GitIgnoreSpecPattern(line)
            except (GitIgnorePatternError, re.error):
                continue  # as Git: a line that is no pattern matches nothing
            if pattern.include is None:
                continue
            line = line.rstrip()
            by_name = "/" not in line.removeprefix("!").removesuffix("/")
            regex = _regex_for_entry(pattern, line, by_name)
            patterns.append(_Pattern(re.compile(regex).search, bool(pattern.include), by_name))
            quick[by_name].append(f"(?:{regex})")
        self._last_first = patterns[::-1]
        self._by_path, self._by_name = (re.compile("|".join(some)).search if some else None for some in quick)

    def decide(self, name: str, path: str) -> bool | None:
        """Say whether the last pattern that fits ignores; None when none fits.

        `path` is relative to the folder of the ignore file; both end with a slash for a directory.
        """
        by_name, by_path = self._by_name, self._by_path
        if not (by_name is not None and by_name(name)) and not (by_path is not None and by_path(path)):
            return None
        for pattern in self._last_first:
            if pattern.search(name if pattern.by_name else path):
                return pattern.ignores
        return None


_ANY = "(?:(?P<ps_d>/)|$)"
_DIRECTORY = "(?P<ps_d>/)"


def _regex_for_entry(pattern: GitIgnoreSpecPattern, line: str, by_name: bool) -> str:
    """Turn an expression for a path or anything below it into one for exactly one entry.

    A scan goes down folder by folder and asks for each entry once, so what lies below a match must not
    match as well: in Git `*` and `!/a` leave out what is in `a`.
    """
    regex = "" if pattern.regex is None else str(pattern.regex.pattern)
    if regex.endswith(_ANY):
        regex = regex.removesuffix(_ANY) + "/?\\Z"
    elif regex.endswith(_DIRECTORY):
        inside = "/.+/" if line.endswith("/**/") else "/"
        regex = regex.removesuffix(_DIRECTORY) + inside + "\\Z"
    elif regex.endswith("/"):
        regex += "."  # from `a/**`: what is in it, not the folder itself
    return regex.replace("^(?:.+/)?", "^", 1) if by_name else regex


class IgnoreRules:
    """The rules in one folder, read and compiled when needed; made by `enter` from those of its parent."""

    __slots__ = ("_all", "_chain", "_key", "_load", "_parent", "_source", "by_muse", "path")

    def __init__(self, load: LoadFile, path: str, parent: IgnoreRules | None, names: Container[str]) -> None:
        self._load = load
        self._parent = parent
        self.path = path
        by_muse: bool = parent is not None and parent.by_muse
        self._source: str | None = None
        if MUSE_FILE in names:
            self._source, by_muse = MUSE_FILE, True
        elif not by_muse and GIT_FILE in names:
            self._source = GIT_FILE
        self.by_muse: bool = by_muse
        self._key: bytes | None = None
        self._chain: list[tuple[int, Patterns]] | None = None
        self._all: bool | None = None

    @classmethod
    def root(cls, load: LoadFile, names: Container[str]) -> IgnoreRules:
        return cls(load, "", None, names)

    def enter(self, path: str, names: Container[str]) -> IgnoreRules:
        """Return the rules of the folder `path` directly below, which holds the regular files `names`."""
        return IgnoreRules(self._load, path, self, names)

    @property
    def key(self) -> bytes:
        """16 bytes that change whenever any rule in force here changes; `NO_RULES` when there is none."""
        if self._key is None:
            above = self._parent.key if self._parent is not None else NO_RULES
            if self._source is None:
                self._key = above
            else:
                content = self._load(self._file_path(self._source))
                named = f"{self.path}\0{self._source}\0".encode("utf-8", "surrogateescape")
                self._key = hashlib.blake2b(above + named + content, digest_size=16).digest()
        return self._key

    def ignores(self, name: str, is_directory: bool) -> bool:
        """Say whether an untracked name of this folder is left out."""
        return self._ignores_all() or self._match(name, is_directory)

    def _file_path(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name

    def _ignores_all(self) -> bool:
        """A folder entered only for what is tracked in it: nothing else in it can be brought back."""
        if self._all is None:
            parent = self._parent
            self._all = parent is not None and parent.ignores(self.path.rpartition("/")[2], True)
        return self._all

    def _match(self, name: str, is_directory: bool) -> bool:
        chain = self._patterns()
        if not chain:
            return False
        if is_directory:
            name += "/"
        path = self._file_path(name)
        for prefix_length, patterns in chain:
            decision = patterns.decide(name, path[prefix_length:])
            if decision is not None:
                return decision
        return False

    def _patterns(self) -> list[tuple[int, Patterns]]:
        """The files in force, nearest first, each with the length of its folder's path and slash."""
        if self._chain is None:
            parent = self._parent
            above = parent._patterns() if parent is not None and parent.by_muse == self.by_muse else []
            if self._source is not None:
                content = self._load(self._file_path(self._source))
                above = [(len(self.path) + 1 if self.path else 0, Patterns(content)), *above]
            self._chain = above
        return self._chain
