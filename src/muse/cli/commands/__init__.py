"""One module per command: SUMMARY-less and lazy; `muse.cli.catalog` names them all.

A command module has `EXAMPLE` (shown by `--help`), `JSON` (the shape of its document, shown in docs/cli.md),
`configure(parser)` and `run(context, options) -> int | None` (an exit code; None is 0).
"""
