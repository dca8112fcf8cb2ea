"""What can be wrong with the other side, as errors somebody can act on."""

from __future__ import annotations

import socket

from muse.errors import RemoteFailure
from muse.remote.address import Origin

RUN_AGAIN = "run it again; what has arrived is not sent twice"


def unreachable(origin: Origin, error: OSError) -> RemoteFailure:
    """There is no connection; the hint says where to look."""
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    if type(error).__name__ == "SSLCertVerificationError":
        hint = "the certificate of the hub is not trusted by this machine"
    elif isinstance(error, socket.gaierror):
        hint = "is the host's name written correctly?"
    elif getattr(error, "reason", None) == "WRONG_VERSION_NUMBER":
        reason, hint = "it does not speak TLS", "does the hub's address begin with http:// here?"
    else:
        hint = "is the hub running, and is the address right?"
    return RemoteFailure(
        "remote-unreachable", f'cannot connect to "{origin}": {reason}', hint=hint, retry=True
    )


def silent(origin: Origin, idle_s: float) -> RemoteFailure:
    return RemoteFailure(
        "remote-timeout", f'"{origin}" was silent for {idle_s:g} seconds', hint=RUN_AGAIN, retry=True
    )


def closed(origin: Origin, *, answered: bool) -> RemoteFailure:
    """The connection ended before the answer did, or before it began."""
    where = "in the middle of an answer" if answered else "without an answer"
    return RemoteFailure(
        "remote-closed", f'"{origin}" closed the connection {where}', hint=RUN_AGAIN, retry=True
    )


def closed_early(origin: Origin) -> RemoteFailure:
    """The answer ended as HTTP wants it, and lacks something all the same."""
    return RemoteFailure(
        "remote-closed", f'"{origin}" ended its answer too early', hint=RUN_AGAIN, retry=True
    )


def not_a_hub(origin: Origin, reason: str) -> RemoteFailure:
    return RemoteFailure(
        "not-a-hub",
        f'what answers at "{origin}" is not a musehub: {reason}',
        hint="check host and port, and whether a proxy stands between",
    )
