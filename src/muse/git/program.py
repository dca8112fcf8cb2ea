"""The `git` program: everything that reads or writes a Git repository goes through it.

One process streams many objects; nothing here starts a process per object.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from muse.errors import Environment, NotFound, RemoteFailure
from muse.store.progress import Progress, silent

PIPE_BYTES = 1 << 20

_LOCAL_VARIABLES = frozenset(
    (
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT"),
        *("GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE"),
        *("GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE"),
        *("GIT_WORK_TREE", "GIT_TRACE", "GIT_QUARANTINE_PATH"),
    )
)
"""Would make git work on another repository than the one it is given; it sets them itself for hooks."""


def git_environment() -> dict[str, str]:
    """Return the environment for git: the user's, for proxies and keys, but nothing that redirects it."""
    environment = {name: value for name, value in os.environ.items() if name not in _LOCAL_VARIABLES}
    # Replaced objects have other bytes than their ids say; messages are shown as they are, in one language.
    environment.update(GIT_NO_REPLACE_OBJECTS="1", GIT_TERMINAL_PROMPT="0", LC_ALL="C")
    return environment


def git_failed(what: str, stderr: bytes) -> RemoteFailure:
    text = stderr.decode(errors="replace").strip()
    lines = text.splitlines() or ["no reason given"]
    reason = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[-1])
    reason = reason.removeprefix("fatal: ").removeprefix("error: ")
    return RemoteFailure("git-failed", f"git {what} failed: {reason}", details={"stderr": text[-4000:]})


def _start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=git_environment(), **options)
    except FileNotFoundError:
        raise Environment(
            "git-missing", "the git program was not found", hint="install git and see that it is on the PATH"
        ) from None


def run_git(*arguments: str | Path, input: bytes = b"", check: bool = True) -> bytes | None:
    """Run git and return what it printed; None when it failed and `check` is off."""
    process = _start(
        ["git", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            stdout, stderr = process.communicate(input)
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return stdout
    if check:
        what = next((str(word) for word in arguments if not str(word).startswith("-")), "")
        raise git_failed(what, stderr)
    return None


class Git:
    """The git program at work on one repository."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir
        self._base = ("--git-dir", str(git_dir))

    @classmethod
    def find(cls, path: Path) -> Git | None:
        """Return the repository at `path`: a bare one, or a work tree's top; None if it is neither."""
        if not path.is_dir():
            return None
        wanted = ("--absolute-git-dir", "--is-inside-work-tree", "--show-prefix")
        output = run_git("-C", path, "rev-parse", *wanted, check=False)
        if output is None:
            # Says why where there is a repository that git refuses to touch.
            if (path / ".git").exists() or (path / "HEAD").is_file():
                run_git("-C", path, "rev-parse", "--absolute-git-dir")
            return None
        name, inside, prefix, *_ = os.fsdecode(output).split("\n")
        git_dir = Path(name)
        is_top = inside == "true" and not prefix
        return cls(git_dir) if is_top or git_dir.samefile(path) else None

    def run(self, *arguments: str, input: bytes = b"") -> bytes:
        output = run_git(*self._base, "-c", "core.quotePath=false", *arguments, input=input)
        assert output is not None
        return output

    def find_output(self, *arguments: str) -> bytes | None:
        """Return what git printed, None when it failed."""
        return run_git(*self._base, *arguments, check=False)

    def feed(self, *arguments: str, pieces: Iterable[bytes]) -> bytes:
        """Run git with `pieces` as its input, one after the other, and return what it printed."""
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            process = _start(
                ["git", *self._base, *arguments],
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                bufsize=0,
            )
            assert process.stdin is not None
            try:
                with contextlib.suppress(BrokenPipeError):  # it failed, and says why
                    for piece in pieces:
                        view = memoryview(piece)
                        while view:
                            view = view[process.stdin.write(view) :]
                    process.stdin.close()
                failed = process.wait() != 0
            finally:
                _end(process)
                process.stdin.close()
            stdout.seek(0)
            stderr.seek(0)
            if failed:
                raise git_failed(arguments[0], stderr.read())
            return stdout.read()

    @property
    def object_format(self) -> str:
        """`sha1` or `sha256`."""
        return self.run("rev-parse", "--show-object-format").decode().strip()

    @property
    def is_bare(self) -> bool:
        return self.run("rev-parse", "--is-bare-repository").strip() == b"true"

    @contextlib.contextmanager
    def stream(self, *commands: tuple[str, ...], lines: Iterable[bytes] = ()) -> Iterator[IO[bytes]]:
        """Run commands as a pipeline fed with `lines` and yield what the last one prints.

        Raises `git-failed` when one of them fails and the block has read to the end. Memory: the pipe buffer.
        """
        with contextlib.ExitStack() as stack:
            feed: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
            feed.writelines(b"%s\n" % line for line in lines)
            feed.seek(0)
            processes = []
            for command in commands:
                stderr = stack.enter_context(tempfile.TemporaryFile())
                process = _start(
                    ["git", *self._base, *command],
                    stdin=feed,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    bufsize=PIPE_BYTES,
                )
                stack.callback(_end, process)
                processes.append((command[0], process, stderr))
                assert process.stdout is not None
                if feed is not None:
                    feed.close()
                feed = process.stdout
            yield feed
            ended = feed.read(1) == b""
            if ended:
                for what, process, stderr in processes:
                    if process.wait() != 0:
                        stderr.seek(0)
                        raise git_failed(what, stderr.read())


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


_PHASE = re.compile(rb"(?:remote: )?([A-Z][a-z]+ [a-z]+):\s+\d+% \((\d+)/(\d+)\)")


@contextlib.contextmanager
def open_source(source: str, temporary_dir: Path, progress: Progress = silent) -> Iterator[Git]:
    """Yield the Git repository at a path, or a mirror, made in `temporary_dir`, of the one at an address.

    Raises `not-a-repository` for a path without one, `git-failed` with what git says.
    """
    path = Path(source)
    if path.is_dir():
        git = Git.find(path)
        if git is None:
            raise NotFound("not-a-repository", f'"{source}" is not a Git repository')
        yield git
        return
    if not path.exists() and ":" not in source:
        raise NotFound("not-a-repository", f'there is no "{source}", and it is no address either')
    with tempfile.TemporaryDirectory(prefix="git-", dir=temporary_dir, ignore_cleanup_errors=True) as folder:
        mirror = Path(folder, "mirror.git")
        _clone(source, mirror, progress)
        yield Git(mirror)


def _clone(source: str, mirror: Path, progress: Progress) -> None:
    process = _start(
        ["git", "clone", "--mirror", "--progress", "--", source, str(mirror)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    try:
        progress("fetching from Git", 0, None, "objects")
        while piece := process.stderr.read1(4096):  # type: ignore[attr-defined]
            said = (said + piece)[-8192:]
            if found := list(_PHASE.finditer(said)):
                phase, done, total = found[-1].groups()
                progress(phase.decode().lower(), int(done), int(total), "objects")
        if process.wait() != 0:
            raise git_failed("clone", re.sub(rb"[^\n]*\r", b"", said))
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
