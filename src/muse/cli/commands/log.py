"""`muse log`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from muse.cli.commits import COMMIT_JSON
from muse.errors import UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.cli.output import Output
    from muse.history.walk import Node
    from muse.objects.commit import Commit
    from muse.store.repository import Repository

EXAMPLE = """muse log --oneline -n 10
muse log origin/main..main
muse log --since "2 weeks ago" -- src/mixer"""
JSON = f'{{"commits": [\n{COMMIT_JSON}\n]}}'


def configure(parser: Parser) -> None:
    parser.revisions_and_paths("where to start (A..B: what only B has), and the paths to follow")
    parser.add_argument("-n", "--max-count", metavar="N", type=int, help="show at most N commits")
    parser.add_argument("--oneline", action="store_true", help="one line each")
    parser.add_argument("--graph", action="store_true", help="draw the lines of history on the left")
    parser.add_argument("--all", action="store_true", help="start from every branch and tag")
    parser.add_argument("--since", metavar="DATE", help="leave out what is older")
    parser.add_argument("--until", metavar="DATE", help="leave out what is newer")
    parser.add_argument(
        "--author", metavar="TEXT", help="only authors or agents whose name or address has TEXT"
    )


def run(context: Context, options: Namespace) -> None:
    from muse.cli.commits import commit_json, refs_by_target
    from muse.cli.revisions import split_arguments
    from muse.objects.commit import decode_commit
    from muse.objects.ids import Kind

    repository, output = context.repository, context.output
    words = []
    for word in options.words:
        if word[:1] == "-" and word[1:].isdigit():  # -3
            options.max_count = int(word[1:])
        else:
            words.append(word)
    heads, excluded, paths = split_arguments(context, words, ranges=True)
    if options.graph and (paths or options.since or options.until or options.author):
        raise UsageError("bad-arguments", "--graph draws whole histories: it goes with revisions and -n only")
    head = repository.refs.head()
    names = refs_by_target(repository)
    if options.all:
        heads += names
    if not heads:
        if head.target is None:
            output.say(f'branch "{head.branch}" has no commits yet')
            output.document({"commits": []})
            return
        heads = [head.target]
    nodes = _iter_wanted(context, options, repository, heads, excluded, paths)
    if options.max_count is not None and options.max_count >= 0:
        nodes = islice(nodes, options.max_count)
    load = repository.objects.load
    commits = ((node, decode_commit(load(Kind.COMMIT, node.id)), names.get(node.id, [])) for node in nodes)
    if output.json:
        shown = (commit_json(node.id, commit, refs) for node, commit, refs in commits)
        output.document_stream("commits", shown)
    else:
        output.page()
        _write(output, options, commits, head.branch)


def _write(
    output: Output,
    options: Namespace,
    commits: Iterable[tuple[Node, Commit, list[str]]],
    current: str | None,
) -> None:
    from muse.cli.commits import commit_lines, decoration
    from muse.cli.output import clean
    from muse.objects.ids import short_id

    graph = None
    if options.graph:
        from muse.cli.graph import Lanes

        graph = Lanes(output)
    first = True
    for node, commit, names in commits:
        if options.oneline:
            mark = output.style(short_id(node.id), "yellow") + decoration(names, current, output)
            lines = [f"{mark} {clean(commit.summary)}"]
        else:
            lines = commit_lines(node.id, commit, names, current, output)
            lines = [*lines, ""] if graph is not None else lines if first else ["", *lines]
        first = False
        if graph is not None:
            lines = graph.draw(node, lines)
        for line in lines:
            output.write(line)


def _iter_wanted(
    context: Context,
    options: Namespace,
    repository: Repository,
    heads: list[bytes],
    excluded: list[bytes],
    paths: list[str],
) -> Iterator[Node]:
    """Yield the commits that are shown, but for how many of them."""
    from muse.cli.dates import parse_date
    from muse.history.walk import iter_commits
    from muse.objects.commit import decode_commit
    from muse.objects.ids import Kind

    since = parse_date(options.since, context.now())[0] if options.since else None
    until = parse_date(options.until, context.now())[0] if options.until else None
    touches = _Touches(repository, paths) if paths else None
    author = options.author.casefold() if options.author else None
    for node in iter_commits(repository.graph, heads, excluded):
        if (since is not None and node.time_s < since) or (until is not None and node.time_s > until):
            continue
        if touches is not None and not touches(node):
            continue
        if author is not None:
            commit = decode_commit(repository.objects.load(Kind.COMMIT, node.id))
            agent = commit.agent.name if commit.agent is not None else ""
            if author not in f"{commit.author.name} <{commit.author.email}> {agent}".casefold():
                continue
        yield node


class _Touches:
    """Says whether a commit changes one of some paths against every parent; reads each tree once."""

    def __init__(self, repository: Repository, paths: list[str]) -> None:
        self._repository = repository
        self._paths = paths
        self._seen: dict[bytes, tuple[object, ...]] = {}

    def _entries(self, tree: bytes) -> tuple[object, ...]:
        from muse.history.lookup import find_path

        found = self._seen.get(tree)
        if found is None:
            load = self._repository.objects.load
            found = tuple(find_path(load, tree, path) if path else tree for path in self._paths)
            if len(self._seen) > 10_000:
                self._seen.clear()
            self._seen[tree] = found
        return found

    def __call__(self, node: Node) -> bool:
        here = self._entries(node.tree)
        if not node.parents:
            return any(entry is not None for entry in here)
        return all(here != self._entries(self._repository.graph(parent).tree) for parent in node.parents)
