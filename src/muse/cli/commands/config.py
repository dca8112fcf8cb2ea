"""`muse config`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from muse.errors import NotFound

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context

EXAMPLE = """muse config set --global user.name "Ada Lovelace"
muse config get user.email
muse config list"""
JSON = """get, set: {"key": "user.name", "value": "Ada", "scope": "user" or "repository"}
unset: {"key": "user.name", "scope": "user" or "repository"}
list: {"settings": [{"key": "user.name", "value": "Ada", "scope": "user"}]}"""


def configure(parser: Parser) -> None:
    get = parser.subcommand("get", "print one setting", "muse config get user.name")
    get.add_argument("key", metavar="KEY")
    write = parser.subcommand("set", "set a setting", "muse config set --global user.email ada@example.org")
    write.add_argument("key", metavar="KEY")
    write.add_argument("value", metavar="VALUE")
    unset = parser.subcommand("unset", "remove a setting", "muse config unset user.name")
    unset.add_argument("key", metavar="KEY")
    listing = parser.subcommand("list", "print all settings", "muse config list")
    for sub in (get, write, unset, listing):
        sub.add_argument(
            "--global", dest="user", action="store_true", help="the user's settings, not this repository's"
        )


def run(context: Context, options: Namespace) -> None:
    if options.subcommand == "list":
        _list(context, options)
        return
    output, key = context.output, options.key
    found = {name: (value, scope) for name, value, scope in _settings(context, options)}
    if options.subcommand == "get":
        if key not in found:
            raise NotFound(
                "unknown-setting", f'"{key}" has no value', hint="muse config list shows all settings"
            )
        value, scope = found[key]
        output.write(value)
        output.document({"key": key, "value": value, "scope": scope})
        return
    scope = "user" if options.user else "repository"
    if options.subcommand == "set":
        _store(context, options, options.value)
        output.document({"key": key, "value": options.value, "scope": scope})
        return
    if key not in found or found[key][1] != scope:
        hint = "it is one of your own: --global" if key in found else None
        raise NotFound("unknown-setting", f'"{key}" has no value in this {scope}\'s settings', hint=hint)
    _store(context, options, None)
    output.document({"key": key, "scope": scope})


def _store(context: Context, options: Namespace, value: str | None) -> None:
    if options.user:
        context.user_settings.set(options.key, value)
    else:
        context.repository.settings.set(options.key, value)


def _settings(context: Context, options: Namespace) -> list[tuple[str, str, str]]:
    if not options.user:
        try:
            return list(context.repository.settings.iter())
        except NotFound as error:
            if error.code != "not-a-repository" or options.subcommand in ("set", "unset"):
                raise
    return [(key, value, "user") for key, value in sorted(context.user_settings.load().items())]


def _list(context: Context, options: Namespace) -> None:
    rows = _settings(context, options)
    for key, value, _ in rows:
        context.output.write(f"{key} = {value}")
    context.output.document({"settings": [{"key": k, "value": v, "scope": s} for k, v, s in rows]})
