"""`muse commit`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from muse.errors import UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.objects.commit import Commit
    from muse.store.repository import Repository
    from muse.worktree.state import Problem

EXAMPLE = """muse commit -m "add the bridge"
muse commit -m "mix only" mix/ --agent composer:m-1:studio
muse commit --amend -m "add the second bridge\""""
JSON = """{"id": "sha256:…", "branch": "main" or null, "root": false, "amended": false,
 "summary": "add the bridge", "added": 1, "modified": 2, "deleted": 0}"""


def configure(parser: Parser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", help="commit only these (default: everything)")
    parser.add_argument(
        "-m",
        "--message",
        metavar="TEXT",
        action="append",
        help="the message; given again, a further paragraph",
    )
    parser.add_argument("-F", "--file", metavar="FILE", help="read the message from FILE, - is stdin")
    parser.add_argument("--amend", action="store_true", help="replace the last commit")
    parser.add_argument("--allow-empty", action="store_true", help="commit even if nothing changed")
    parser.add_argument("--author", metavar='"NAME <EMAIL>"', help="the author, if it is not you")
    parser.add_argument("--date", metavar="DATE", help="the author's date, if it is not now")
    parser.add_argument("--agent", metavar="NAME[:MODEL[:TOOL]]", help="the agent that made this")
    parser.add_argument("--sign", action="store_true", default=None, help="sign with your key")
    parser.add_argument("--no-sign", dest="sign", action="store_false", help="do not sign")


def run(context: Context, options: Namespace) -> None:
    from muse.cli.revisions import tree_path
    from muse.cli.signing import sign_if_wanted
    from muse.objects.commit import decode_commit, encode_commit
    from muse.objects.ids import Kind
    from muse.worktree.snapshot import snapshot

    repository, output = context.repository, context.output
    head = repository.refs.head()
    if options.amend and head.target is None:
        raise UsageError("bad-arguments", "there is no commit to amend yet")
    old = (
        decode_commit(repository.objects.load(Kind.COMMIT, head.target)) if head.target is not None else None
    )
    draft = _draft(context, options, head.target, old)
    paths = [tree_path(context, path) for path in options.paths] or None
    message = _given_message(context, options)
    left_out: list[Problem] = []
    with context.progress() as progress, repository.transaction(context.operation) as transaction:
        tree = snapshot(repository, transaction, paths, progress, left_out.append)
        parent_tree = _tree(repository, draft.parents[0]) if draft.parents else None
        if not options.allow_empty and not options.amend and tree == (parent_tree or _empty_tree()):
            raise UsageError(
                "nothing-to-commit", "nothing changed since the last commit", hint=_hint(head.target)
            )
        if message is None:
            start = old.message if options.amend and old is not None else ""
            message = _tidy(_edit_message(context, start, tree, parent_tree))
        commit = sign_if_wanted(context, draft._replace(tree=tree, message=message), options.sign)
        data = encode_commit(commit)
        commit_id = transaction.put(Kind.COMMIT, data, head.target)
        if head.branch is not None:
            transaction.set_ref(f"heads/{head.branch}", commit_id, expected=head.target)
        else:
            transaction.set_head(commit_id)
    for problem in left_out:
        output.warning(problem.message)
    _report(context, options, commit_id, commit, parent_tree)


def _report(
    context: Context, options: Namespace, commit_id: bytes, commit: Commit, parent_tree: bytes | None
) -> None:
    """Say what was committed."""
    from muse.cli.output import clean, counted
    from muse.history.treediff import diff_trees
    from muse.objects.ids import format_id, short_id

    output, branch = context.output, context.repository.refs.head().branch
    counts = {"added": 0, "modified": 0, "deleted": 0}
    for change in diff_trees(context.repository.objects.load, parent_tree, commit.tree):
        counts["added" if change.old is None else "deleted" if change.new is None else "modified"] += 1
    where = branch or "detached"
    root = ", first commit" if not commit.parents else ""
    output.say(f"{output.style(f'[{where} {short_id(commit_id)}{root}]', 'bold')} {clean(commit.summary)}")
    changed = ", ".join(f"{counted(number, 'file')} {what}" for what, number in counts.items() if number)
    output.say(f" {changed or 'no file changed'}")
    output.document(
        {
            "id": format_id(commit_id),
            "branch": branch,
            "root": not commit.parents,
            "amended": options.amend,
            "summary": commit.summary,
            **counts,
        }
    )


def _draft(context: Context, options: Namespace, head: bytes | None, old: Commit | None) -> Commit:
    """Return the commit as far as it is known before the work tree is read."""
    from muse.objects.commit import Commit

    committer = context.person("COMMITTER")
    amended = old if options.amend else None
    agent = context.agent(options.agent)
    if amended is not None:
        parents = amended.parents
        author = amended.author
        agent = agent or amended.agent
    else:
        parents = (head,) if head is not None else ()
        author = context.person("AUTHOR", options.date)
    if options.author:
        name, email = _parse_author(options.author)
        author = author._replace(name=name, email=email)
    if options.date:
        time_s, offset_min = context.moment(options.date)
        author = author._replace(time_s=time_s, offset_min=offset_min)
    extra = dict(amended.extra) if amended is not None else {}
    return Commit(b"", parents, author, committer, "", agent, extra)


def _parse_author(text: str) -> tuple[str, str]:
    name, found, rest = text.partition("<")
    if not found or not rest.rstrip().endswith(">") or not name.strip():
        raise UsageError(
            "bad-arguments", f'"{text}" is not an author', hint='write --author "Ada <ada@example.org>"'
        )
    return name.strip(), rest.rstrip()[:-1].strip()


def _tree(repository: Repository, commit_id: bytes) -> bytes:
    return repository.graph(commit_id).tree


def _empty_tree() -> bytes:
    from muse.objects.ids import hash_bytes
    from muse.objects.tree import encode_entries

    return hash_bytes(encode_entries([]))


def _hint(head: bytes | None) -> str:
    return "muse commit --allow-empty commits all the same" if head is not None else "make a file first"


def _given_message(context: Context, options: Namespace) -> str | None:
    """Return the message of the command line, None when it is to be edited."""
    if options.message is not None and options.file is not None:
        raise UsageError("bad-arguments", "the message comes from -m or from -F, not from both")
    if options.message is not None:
        return _tidy("\n\n".join(part.strip("\n") for part in options.message))
    return _tidy(_read_message(context, options.file)) if options.file is not None else None


def _tidy(text: str) -> str:
    """Strip white space at the ends of lines and of the whole; raises when nothing is left."""
    text = "\n".join(line.rstrip() for line in text.strip().split("\n"))
    if not text:
        raise UsageError(
            "bad-arguments", "the message is empty, nothing was committed", hint='muse commit -m "..."'
        )
    return text + "\n"


def _read_message(context: Context, name: str) -> str:
    import sys

    data = sys.stdin.buffer.read() if name == "-" else (context.directory / name).read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("bad-arguments", f'the message in "{name}" is not UTF-8') from None


def _edit_message(context: Context, start: str, tree: bytes, parent_tree: bytes | None) -> str:
    """Let the user write the message; lines that begin with `#` are remarks."""
    import sys

    from muse.cli.output import is_terminal
    from muse.cli.pager import edit_text
    from muse.history.treediff import diff_trees

    environment = context.environment
    chosen = any(environment.get(name) for name in ("MUSE_EDITOR", "VISUAL", "EDITOR"))
    if not chosen and not is_terminal(sys.stdin):
        raise UsageError("bad-arguments", "a commit needs a message", hint='muse commit -m "..."')
    lines = [start.rstrip("\n"), "", "# The message above; lines that begin with # are left out.", "#"]
    for number, change in enumerate(diff_trees(context.repository.objects.load, parent_tree, tree)):
        if number == 100:
            lines.append("#   ... and more")
            break
        lines.append(
            f"#   {'A' if change.old is None else 'D' if change.new is None else 'M'}  {change.path}"
        )
    path = context.repository.muse_dir / "COMMIT_MESSAGE"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if edit_text(str(path), environment) != 0:
        raise UsageError("bad-arguments", "the editor failed, nothing was committed")
    text = path.read_text(encoding="utf-8")
    path.unlink(missing_ok=True)
    return "\n".join(line for line in text.split("\n") if not line.startswith("#"))
