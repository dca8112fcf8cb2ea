"""The document of all settings, made from their types."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec

from musehub.settings.loading import PREFIX
from musehub.settings.schema import Settings, setting_types


def settings_reference() -> str:
    """docs/settings.md: one row per setting, made from the struct."""
    lines = [
        "# Settings of the hub",
        "",
        "Made from `src/musehub/settings/schema.py`. A flag of `musehub serve` wins over the environment,",
        "the environment over the TOML file (`--config`, `MUSEHUB_CONFIG` or `musehub.toml` in the data",
        "folder), the file over the default. In the file a setting has the name of its first column.",
        "",
        "| setting | environment | type | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for field in msgspec.structs.fields(Settings):
        kind, meta = get_args(setting_types()[field.name])
        if field.default is msgspec.NODEFAULT:
            default = "`$XDG_DATA_HOME/musehub`, or `~/.local/share/musehub`"
        else:
            default = f"`{field.default}`" if field.default != "" else ""
        type_name = "path" if kind is Path else getattr(kind, "__name__", "str")
        variable = f"{PREFIX}{field.name.upper()}"
        lines.append(f"| `{field.name}` | `{variable}` | {type_name} | {default} | {meta.description} |")
    return "\n".join(lines) + "\n"
