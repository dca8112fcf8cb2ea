"""Version control of anything: the library behind the `muse` command.

Importing this package costs nothing; the rooms below it are imported where they are needed.
"""

__version__ = "0.1.0"
