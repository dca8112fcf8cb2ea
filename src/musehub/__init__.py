"""The self-hosted hub for muse repositories, built on the `muse` library."""

__version__ = "0.1.0"
