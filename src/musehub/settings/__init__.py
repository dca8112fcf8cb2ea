"""Everything about a hub that its operator may decide, in one frozen object.

A value comes from, first one wins: a flag of the command line, the environment (`MUSEHUB_` and the
field's name in capitals), a TOML file (`--config`, `MUSEHUB_CONFIG`, or `musehub.toml` in the data
folder), the default below. Nothing else in the hub reads the environment.
"""

from __future__ import annotations

from musehub.settings.loading import PREFIX, default_data_dir, load_settings
from musehub.settings.reference import settings_reference
from musehub.settings.schema import Settings, without_password

__all__ = [
    "PREFIX",
    "Settings",
    "default_data_dir",
    "load_settings",
    "settings_reference",
    "without_password",
]
