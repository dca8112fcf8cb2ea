"""The pack format, written, read and verified: bytes in, bytes out; may import errors, objects."""
