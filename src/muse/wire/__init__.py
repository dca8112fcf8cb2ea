"""Frames and messages that client and hub agree on, no sockets; may import errors, objects, packs."""
