"""Every exit code of `muse`; those of errors come from the tree of errors."""

from __future__ import annotations

OK = 0
DIFFERENT = 1
USAGE = 2
INTERNAL = 70
INTERRUPTED = 130
CLOSED_PIPE = 141

MEANINGS: dict[int, str] = {
    OK: "done",
    DIFFERENT: "`diff --exit-code` found differences, or `fsck` found problems",
    INTERRUPTED: "interrupted by Ctrl-C",
    CLOSED_PIPE: "whoever read the output went away",
}
"""The codes that are not an error's; docs/cli.md lists the others from `muse.errors`."""
