"""`muse remote`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from muse.errors import Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.store.repository import Repository

EXAMPLE = """muse remote add origin http://127.0.0.1:1337/ada/songs
muse remote"""
JSON = """list: {"remotes": [{"name": "origin", "url": "http://127.0.0.1:1337/ada/songs"}]}
add, set-url: {"name": "origin", "url": "…"}
rename: {"name": "hub", "old_name": "origin"}
remove: {"name": "origin"}"""


def configure(parser: Parser) -> None:
    parser.default_subcommand = "list"
    parser.subcommand("list", "list remotes (default)", "muse remote list")
    add = parser.subcommand("add", "add a remote", "muse remote add origin http://127.0.0.1:1337/ada/songs")
    change = parser.subcommand(
        "set-url",
        "change the address of a remote",
        "muse remote set-url origin https://hub.example.org/ada/songs",
    )
    for sub in (add, change):
        sub.add_argument("name", metavar="NAME")
        sub.add_argument("url", metavar="URL")
    remove = parser.subcommand("remove", "forget a remote and its branches", "muse remote remove origin")
    remove.add_argument("name", metavar="NAME")
    rename = parser.subcommand("rename", "rename a remote and its branches", "muse remote rename origin hub")
    rename.add_argument("name", metavar="OLD")
    rename.add_argument("new_name", metavar="NEW")


def run(context: Context, options: Namespace) -> None:
    actions = {"list": _list, "add": _add, "set-url": _set_url, "remove": _remove, "rename": _rename}
    actions[options.subcommand](context, options)


def list_remotes(repository: Repository) -> dict[str, str]:
    """Return the address of every remote by its name."""
    return {
        key.removeprefix("remote.").removesuffix(".url"): value
        for key, value, _ in repository.settings.iter("remote.")
        if key.endswith(".url")
    }


def _get(repository: Repository, name: str) -> str:
    remotes = list_remotes(repository)
    if name not in remotes:
        known = ", ".join(f'"{other}"' for other in remotes)
        hint = f"there is {known}" if known else "muse remote add NAME URL adds one"
        raise NotFound("unknown-remote", f'there is no remote "{name}"', hint=hint)
    return remotes[name]


def _list(context: Context, options: Namespace) -> None:
    remotes = list_remotes(context.repository)
    width = max(map(len, remotes), default=0)
    for name, url in remotes.items():
        context.output.write(f"{name:<{width}}  {url}")
    context.output.document({"remotes": [{"name": name, "url": url} for name, url in remotes.items()]})


def _check_new(repository: Repository, name: str) -> None:
    from muse.store.refs import check_ref_name

    if "/" in name or "." in name:
        raise UsageError(
            "bad-name", f'"{name}" cannot be the name of a remote', hint="no slashes and no dots in it"
        )
    check_ref_name(f"remotes/{name}/heads/main")
    if name in list_remotes(repository):
        raise Conflict(
            "already-exists",
            f'there is a remote "{name}" already',
            hint=f"muse remote set-url {name} URL changes it",
        )


def _add(context: Context, options: Namespace) -> None:
    repository = context.repository
    _check_new(repository, options.name)
    _write_url(context, options)


def _set_url(context: Context, options: Namespace) -> None:
    _get(context.repository, options.name)
    _write_url(context, options)


def _write_url(context: Context, options: Namespace) -> None:
    from muse.remote.address import parse_repository_url

    url = str(parse_repository_url(options.url))
    context.repository.settings.set(f"remote.{options.name}.url", url)
    context.output.say(f'remote "{options.name}" is {url}')
    context.output.document({"name": options.name, "url": url})


def _remove(context: Context, options: Namespace) -> None:
    repository, name = context.repository, options.name
    _get(repository, name)
    with repository.transaction(context.operation) as transaction:
        for ref in repository.refs.iter(f"remotes/{name}/"):
            transaction.set_ref(ref.name, None)
        for key, _, scope in list(repository.settings.iter(f"remote.{name}.")):
            if scope == "repository":
                repository.settings.set(key, None, transaction)
        repository.remotes.forget(name, transaction)
    context.output.say(f'forgot remote "{name}"')
    context.output.document({"name": name})


def _rename(context: Context, options: Namespace) -> None:
    repository, name, new_name = context.repository, options.name, options.new_name
    _get(repository, name)
    _check_new(repository, new_name)
    with repository.transaction(context.operation) as transaction:
        for ref in list(repository.refs.iter(f"remotes/{name}/")):
            transaction.set_ref(ref.name, None)
            rest = ref.name.removeprefix(f"remotes/{name}/")
            transaction.set_ref(f"remotes/{new_name}/{rest}", ref.target, kind=ref.kind)
        for key, value, scope in list(repository.settings.iter(f"remote.{name}.")):
            if scope == "repository":
                repository.settings.set(key, None, transaction)
                repository.settings.set(
                    f"remote.{new_name}.{key.removeprefix(f'remote.{name}.')}", value, transaction
                )
        for key, value, _ in list(repository.settings.iter("branch.")):
            if key.endswith(".remote") and value == name:
                repository.settings.set(key, new_name, transaction)
        repository.remotes.forget(name, transaction)
    context.output.say(f'remote "{name}" is called "{new_name}" now')
    context.output.document({"name": new_name, "old_name": name})
