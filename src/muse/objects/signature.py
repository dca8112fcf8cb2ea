"""Ed25519 signatures of commits and tags (docs/formats/objects.md, "Signatures").

What is signed is the canonical encoding with a null signature, so the id covers the signature and the
signature covers everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muse.errors import InvalidData
from muse.objects.commit import Commit, Signature, Tag, encode_commit, encode_tag

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def signed_bytes(value: Commit | Tag) -> bytes:
    unsigned = value._replace(signature=None)
    return encode_commit(unsigned) if isinstance(unsigned, Commit) else encode_tag(unsigned)


def sign(value: Commit | Tag, key: Ed25519PrivateKey) -> Commit | Tag:
    """Return the object with its signature by `key`."""
    return value._replace(
        signature=Signature(key.public_key().public_bytes_raw(), key.sign(signed_bytes(value)))
    )


def check_signature(value: Commit | Tag) -> bytes | None:
    """Return the public key that signed, None when unsigned; raises `bad-signature`."""
    if value.signature is None:
        return None
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(value.signature.key).verify(
            value.signature.value, signed_bytes(value)
        )
    except (InvalidSignature, ValueError):
        raise InvalidData("bad-signature", "the signature does not fit the object and its key") from None
    return value.signature.key
