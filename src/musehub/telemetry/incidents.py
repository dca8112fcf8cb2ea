"""Defects: the log has the trace, the client the number under which it stands there."""

from __future__ import annotations

import logging
import secrets

from muse.errors import InternalError

logger = logging.getLogger("musehub")


def report_defect(error: BaseException, where: str) -> InternalError:
    """Log what nobody foresaw, and return what a client may know of it."""
    incident = secrets.token_hex(6)
    logger.error("incident %s at %s", incident, where, exc_info=error)
    return InternalError(
        "internal",
        "the hub failed on this request",
        hint=f"the hub's log has the cause under incident {incident}",
        details={"incident": incident},
    )
