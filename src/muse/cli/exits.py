"""Every exit code of `muse`; those of errors are decided by the tree of errors."""

from __future__ import annotations

from muse import errors

OK = 0
DIFFERENT = 1
USAGE = errors.UsageError.exit_code
CORRUPT = errors.CorruptStore.exit_code
INTERRUPTED = 130
CLOSED_PIPE = 141

MEANINGS: dict[int, str] = {
    OK: "done",
    DIFFERENT: "`diff --exit-code` found differences",
    errors.UsageError.exit_code: "the command line makes no sense, or there is nothing to do",
    errors.NotFound.exit_code: "something is not there, or you may not see it",
    errors.Conflict.exit_code: "doing it would lose somebody's work",
    errors.CorruptStore.exit_code: "stored bytes are not what was stored; `fsck` found problems",
    errors.AccessDenied.exit_code: "the hub does not know you, or you may not do this",
    errors.RemoteFailure.exit_code: "the other side is away, slow or broken",
    errors.LimitReached.exit_code: "a quota, a rate or a size is exceeded",
    errors.Environment.exit_code: "disk full, read-only, or another process works here",
    errors.InvalidData.exit_code: "received bytes break a format or a limit of one",
    errors.InternalError.exit_code: "a defect of this program",
    INTERRUPTED: "interrupted by Ctrl-C",
    CLOSED_PIPE: "whoever read the output went away",
}
