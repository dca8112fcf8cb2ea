"""Renders docs/cli.md: every command with its help and the shape of its JSON, and all exit codes."""

from __future__ import annotations

from muse.cli import exits
from muse.cli.arguments import EVERY_COMMAND, Parser
from muse.cli.catalog import GROUPS
from muse.cli.run import build_parser, help_text, load_command

_INTRODUCTION = """\
# The `muse` command

Written by `make docs` from `src/muse/cli/`; change it there.

## Output

Results go to stdout; errors, warnings and progress go to stderr. With `--json` a command prints exactly one
JSON document on stdout, whose shape stands below and only ever gains fields. An error is then one line of
JSON on stderr, `{"error": {"code": …, "message": …, "hint": …, "retry": …, "details": {…}}}`. The codes are
in [errors.md](errors.md). Ids are written `sha256:<64 hex digits>`, times as ISO 8601 with the offset of
whoever wrote them.

Progress is drawn only on a terminal and only for what takes longer than half a second. Colours are used on a
terminal unless `NO_COLOR` is set. Long output goes through a pager on a terminal.

## Environment

| variable | meaning |
|---|---|
| `MUSE_AUTHOR_NAME`, `MUSE_AUTHOR_EMAIL` | the author of new commits, above `user.name` and `user.email` |
| `MUSE_COMMITTER_NAME`, `MUSE_COMMITTER_EMAIL` | the same for the committer and for tags |
| `MUSE_DATE` | the time of new commits and tags, instead of the clock |
| `MUSE_AGENT_NAME`, `MUSE_AGENT_MODEL`, `MUSE_AGENT_TOOL` | the agent that works here, as `commit --agent` |
| `MUSE_CONFIG` | the file of your settings (default: `muse/config` in `XDG_CONFIG_HOME` or `~/.config`) |
| `MUSE_TOKEN` | a token for the hub, above what `muse auth login` stored |
| `MUSE_EDITOR`, `VISUAL`, `EDITOR` | the editor for messages |
| `MUSE_PAGER`, `PAGER` | the pager; empty or `cat` for none |
| `MUSE_TRACEBACK` | if set, every error shows where in the program it came from |
| `NO_COLOR` | if set, no colours |
"""


def cli_document() -> str:
    """The whole of docs/cli.md."""
    parts = [_INTRODUCTION, "## Exit codes\n\n| code | meaning |\n|---|---|"]
    parts += [f"| {code} | {meaning} |" for code, meaning in sorted(exits.MEANINGS.items())]
    parts.append(f"\n## Revisions\n\n```text\n{_revisions_text()}\n```")
    parts.append(f"\n## Overview\n\n```text\n{help_text().rstrip()}\n```")
    for title, group in GROUPS.items():
        parts.append(f"\n## Commands: {title}")
        for name in group:
            parts.append(_command_text(name))
    return "\n".join(parts) + "\n"


def _revisions_text() -> str:
    """The table in the docstring of the module that reads revisions, and what commands add to it."""
    from muse.store import revisions

    table = (revisions.__doc__ or "").partition("\n\n")[2].rstrip()
    return f"{table}\nA..B  ^A                 in log: what B has and A has not; in diff: A compared with B"


def _command_text(name: str) -> str:
    module = load_command(name)
    parser = build_parser(name, module)
    blocks = [f"\n### `muse {name}`\n", _fenced(parser)]
    blocks += [_fenced(sub) for sub in parser.subcommands.values()]
    blocks.append(f"JSON:\n\n```text\n{module.JSON}\n```")
    return "\n".join(blocks)


def _fenced(parser: Parser) -> str:
    """Render a command's help without the options that every command has."""
    blocks = parser.format_help().rstrip().split("\n\n")
    text = "\n\n".join(block for block in blocks if not block.startswith(EVERY_COMMAND))
    return f"```text\n{text}\n```\n"
