"""The endpoints of push, fetch and upload: raw ASGI handlers, because they read and write at once."""
