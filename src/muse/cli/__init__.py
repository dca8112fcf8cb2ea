"""The muse command, one thin file per command: the top room; may import every other."""
