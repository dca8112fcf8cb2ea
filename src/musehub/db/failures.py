"""What a failure of the database means to whoever asked: an error that says whether trying again helps."""

from __future__ import annotations

import logging
import sqlite3

from sqlalchemy import exc

from muse.errors import CorruptStore, Environment, LimitReached, MuseError, RemoteFailure, UsageError

logger = logging.getLogger("musehub.db")
logger.addHandler(logging.NullHandler())  # a command that keeps no log shows the note by itself

BUSY_RETRY_AFTER_S = 2
"""What a client is asked to wait: transactions are short, so many end in that time."""


def explain_failure(error: Exception) -> Exception:
    """The error that a caller can act on; what is a defect of ours stays as it is."""
    if isinstance(error, exc.TimeoutError):
        return busy("no database connection became free in time")
    if isinstance(error, exc.IntegrityError):
        return error
    if isinstance(error, exc.DBAPIError):
        return _explain_driver_error(error)
    if isinstance(error, sqlite3.Error):  # while a new connection was being set up
        return _explain_driver_error(exc.DBAPIError("", None, error))
    if isinstance(error, OSError):
        return _unavailable("no connection", str(error))
    return error


def _explain_driver_error(error: exc.DBAPIError) -> Exception:
    text = str(error.orig)
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if "database is locked" in text or "table is locked" in text or state in ("40001", "40P01", "55P03"):
        return busy("another writer kept the database busy")
    if state == "57014":
        return _unavailable("a statement took longer than the time-out allows", text)
    if "disk is full" in text or state == "53100":
        return Environment(
            "disk-full",
            "no space left for the database of the hub",
            hint="its operator has to make room; what was recorded is not sent again",
        )
    if "not a database" in text or "malformed" in text:
        return CorruptStore(
            "corrupt-database", f"the database file is damaged: {text}", hint="restore a backup"
        )
    if "readonly database" in text or state == "25006":
        return Environment("read-only", "the database may not be written")
    if "no such table" in text or state == "42P01":
        return UsageError(
            "bad-setting", "the database has no tables yet or old ones", hint="run `musehub migrate`"
        )
    if state == "22021":
        return UsageError("bad-arguments", "a text holds a NUL, which the database cannot keep")
    if state == "3D000" or state[:2] == "28":
        return _unavailable("it does not let the hub in", text)
    if error.connection_invalidated or state[:2] in ("08", "57", "53") or _is_connection_loss(error):
        return _unavailable("the connection was lost", text)
    return error


def _is_connection_loss(error: exc.DBAPIError) -> bool:
    return isinstance(error, exc.InterfaceError) or "unable to open database file" in str(error.orig)


def busy(why: str) -> MuseError:
    return LimitReached(
        "busy",
        why,
        hint="try again in a moment",
        retry=True,
        details={"retry_after_s": BUSY_RETRY_AFTER_S},
    )


def _unavailable(why: str, cause: str) -> MuseError:
    """`cause` may name hosts and users: it goes into the log and a note, never into an answer."""
    logger.warning("the database does not answer: %s: %s", why, cause[:500])
    failure = RemoteFailure(
        "database-unavailable",
        f"the database does not answer: {why}",
        hint="try again; what was confirmed is kept",
        retry=True,
    )
    failure.add_note(cause[:500])
    return failure
