"""One tree of errors for client and hub.

    MuseError
    ├── UsageError        the request itself makes no sense
    ├── NotFound          it is not there, or the actor may not see it
    ├── Conflict          doing it would lose somebody's work
    ├── InvalidData       received bytes break a format or a limit of one
    ├── CorruptStore      stored bytes are not what was stored
    ├── AccessDenied      who are you, or you may not
    ├── RemoteFailure     the other side is away, slow or broken
    ├── LimitReached      quota, rate or size
    ├── Environment       disk full, read-only, locked
    └── InternalError     a defect of this program

The class decides the exit code and, unless its `statuses` say otherwise, the HTTP status; the `code` is
the stable name of the exact condition. Every code is listed in its class's `codes` with its meaning, and
`docs/errors.md` is generated from those tables. An unlisted code is a defect and fails at once.
"""

from __future__ import annotations

from typing import Any, ClassVar


class MuseError(Exception):
    """An error somebody can act on: stable code, what is wrong, what to do.

    `retry` says whether doing the same again can succeed. `details` are JSON values for machines.
    """

    exit_code: ClassVar[int] = 70
    http_status: ClassVar[int] = 500
    statuses: ClassVar[dict[str, int]] = {}
    """HTTP statuses of codes for which the class's is not right."""
    codes: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        retry: bool = False,
        details: dict[str, Any] | None = None,
    ) -> None:
        if code not in self.codes:
            raise AssertionError(f'error code "{code}" is not listed in {type(self).__name__}.codes')
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.retry = retry
        self.details = details or {}

    @property
    def status(self) -> int:
        """The HTTP status of an answer that says this."""
        return self.statuses.get(self.code, self.http_status)

    def to_json(self) -> dict[str, Any]:
        """The shape used by `--json`, by error frames and by the HTTP API."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "retry": self.retry,
            "details": self.details,
        }


class UsageError(MuseError):
    exit_code = 2
    http_status = 400
    codes = {
        "bad-arguments": "the command line or the request has a wrong or missing argument",
        "bad-revision": "a revision is not written in a form that is understood",
        "bad-name": "a branch, tag, remote, user or repository name is not allowed",
        "bad-setting": "a setting does not exist or its value is not allowed",
        "nothing-to-commit": "the work tree equals the current commit",
        "nothing-to-undo": "the operation log holds nothing that could be undone",
        "no-identity": "a commit needs the name and e-mail address of its author",
        "unsupported-version": "the other side speaks a version that this one does not",
    }


class NotFound(MuseError):
    exit_code = 3
    http_status = 404
    codes = {
        "not-a-repository": "no .muse folder here or in any parent folder",
        "unknown-revision": "no branch, tag or object answers to that name",
        "ambiguous-revision": "an id prefix fits more than one object",
        "unknown-path": "that path is not in the tree or the work tree",
        "unknown-branch": "no such branch",
        "unknown-tag": "no such tag",
        "unknown-remote": "no such remote",
        "unknown-setting": "the setting has no value",
        "unknown-object": "no such object in this repository",
        "repository-not-found": "no such repository, or you may not see it",
        "user-not-found": "no such user",
        "key-not-found": "no such key",
        "token-not-found": "no such token",
        "page-not-found": "no such page",
        "receipt-not-found": "the hub has no record of that push",
        "pack-not-found": "the store holds no such pack",
        "job-not-found": "no such job in the queue of the hub",
        "webhook-not-found": "the repository has no such webhook or delivery",
    }


class Conflict(MuseError):
    exit_code = 4
    http_status = 409
    codes = {
        "already-exists": "something of that name exists already",
        "would-overwrite": "uncommitted work would be overwritten",
        "not-fast-forward": "the branch has commits that the new head does not descend from",
        "diverged": "both sides have new commits",
        "stale-head": "the branch moved since the client last saw it",
        "checkout-unfinished": "a checkout or clone was interrupted; the work tree is a mixture",
        "changed-while-reading": "a file changed while it was read",
        "name-collision": "two names differ only by case or Unicode form",
        "checked-out": "the branch is the current one",
        "push-in-progress": "the same push is being received right now",
        "job-running": "a worker has this job right now",
        "already-running": "another process of the hub does this very work right now",
    }


class InvalidData(MuseError):
    exit_code = 65
    http_status = 422
    codes = {
        "bad-object": "an object is not in its canonical form",
        "bad-path": "a file name that may not appear in a tree",
        "bad-pack": "a pack is malformed",
        "bad-record": "a record is malformed, too large or does not inflate to its announced size",
        "wrong-hash": "bytes do not have the hash they were announced under",
        "bad-frame": "a frame of the wire protocol is malformed, too large or out of order",
        "bad-signature": "a signature does not verify",
        "missing-objects": "a tree or commit names objects that are not there",
        "not-representable": "something in a Git repository has no counterpart",
        "bad-git-data": "Git delivered something that is not a valid object",
        "truncated": "the data ended too early",
    }


class CorruptStore(MuseError):
    exit_code = 5
    http_status = 500
    codes = {
        "corrupt-object": "an object in the store does not have its hash",
        "missing-object": "an object that must be in the store is not there",
        "corrupt-segment": "a segment file is damaged or too short",
        "corrupt-database": "the local database is damaged",
        "unsupported-store": "the store was written by a newer version",
    }


class AccessDenied(MuseError):
    exit_code = 6
    http_status = 403
    statuses = {"not-logged-in": 401, "bad-credentials": 401, "token-expired": 401, "token-revoked": 401}
    codes = {
        "not-logged-in": "the hub needs to know who you are",
        "bad-credentials": "name, password, key or token is wrong",
        "token-expired": "the token has expired",
        "token-revoked": "the token was revoked",
        "wrong-scope": "the token is not allowed to do this",
        "permission-denied": "you may see this but not do that",
        "signature-required": "the repository takes only signed commits and tags",
        "unknown-signer": "a commit or tag is signed by nobody who may write to the repository",
        "bad-upload-url": "an upload or download address is wrong or has expired",
        "bad-form": "a form of the web pages is too old or was sent from elsewhere",
    }


class RemoteFailure(MuseError):
    exit_code = 7
    http_status = 502
    codes = {
        "remote-unreachable": "no connection to the remote",
        "remote-timeout": "the remote was silent for too long",
        "remote-closed": "the remote closed the connection in the middle of an answer",
        "remote-error": "the remote answered with an error that it did not explain",
        "not-a-hub": "what answered at that address is not a musehub",
        "store-unavailable": "the object store does not answer",
        "database-unavailable": "the database does not answer",
        "git-failed": "the git program failed",
    }


class LimitReached(MuseError):
    exit_code = 8
    http_status = 429
    statuses = {"too-large": 413, "quota-exceeded": 413}
    codes = {
        "too-many-attempts": "too many failed logins; wait before the next",
        "too-large": "larger than a limit allows",
        "quota-exceeded": "the repository or its owner has no room for this push",
        "busy": "the hub has no free capacity right now",
    }


class Environment(MuseError):
    exit_code = 9
    http_status = 507
    codes = {
        "disk-full": "no space left on the device",
        "read-only": "a file or folder may not be written",
        "locked": "another process works on this repository",
        "io-error": "the operating system reported an error",
        "git-missing": "the git program is not installed",
        "address-in-use": "another program listens on that address and port",
    }


class InternalError(MuseError):
    codes = {"internal": "a defect; please report it with the text shown"}


CATEGORIES: tuple[type[MuseError], ...] = (
    UsageError,
    NotFound,
    Conflict,
    InvalidData,
    CorruptStore,
    AccessDenied,
    RemoteFailure,
    LimitReached,
    Environment,
    InternalError,
)

_BY_CODE = {code: category for category in CATEGORIES for code in category.codes}


def from_json(data: dict[str, Any]) -> MuseError:
    """Rebuild an error received from the other side; an unknown code becomes `remote-error`."""
    code = str(data.get("code", ""))
    category = _BY_CODE.get(code)
    message = str(data.get("message", "no message"))
    details = data.get("details")
    if category is None:
        category, message, code = RemoteFailure, f"{message} ({code})", "remote-error"
    return category(
        code,
        message,
        hint=data.get("hint"),
        retry=bool(data.get("retry", False)),
        details=details if isinstance(details, dict) else None,
    )
