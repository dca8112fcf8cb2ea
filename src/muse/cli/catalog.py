"""The names of all commands, so that help and dispatch import none of them."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "start": {
        "init": "make an empty repository",
        "clone": "copy a repository from a hub",
    },
    "work": {
        "status": "say what changed since the last commit",
        "diff": "show changes line by line",
        "commit": "record the work tree, or some paths of it",
        "restore": "bring files back from a commit",
        "undo": "take back the last operations",
    },
    "history": {
        "log": "list commits, newest first",
        "show": "show a commit, a tag or a file of a commit",
        "oplog": "list the operations that moved branches or tags",
    },
    "branches": {
        "branch": "list, make, rename or delete branches",
        "switch": "make another branch the current one",
        "tag": "list, make or delete tags",
    },
    "hub": {
        "remote": "manage the hubs that this repository knows",
        "push": "send commits to a hub",
        "fetch": "get commits from a hub",
        "pull": "fetch, and move the current branch forward",
        "auth": "log in to a hub, manage the signing key",
    },
    "Git": {
        "git": "import from and export to Git repositories",
    },
    "care": {
        "config": "read and write settings",
        "fsck": "verify every object, ref and segment",
        "gc": "remove what nothing names any more",
        "version": "say which version of muse this is",
    },
    "plumbing": {
        "cat-file": "show the kind, size or content of an object",
        "ls-tree": "list a directory of a commit",
        "rev-parse": "turn a revision into an object id",
        "hash-object": "compute the id of a file, and store it",
    },
}
"""Title → command → one line of help."""

COMMANDS: dict[str, str] = {name: line for group in GROUPS.values() for name, line in group.items()}

HABITS: dict[str, str] = {
    "add": "there is no staging area: muse commit [PATH...] takes the files as they are",
    "checkout": "muse switch BRANCH changes the branch, muse restore PATH brings files back",
    "reset": "muse undo takes back the last operation, muse restore PATH brings files back",
    "revert": "muse restore --source REVISION PATH brings files back; then muse commit",
    "merge": "muse pull moves a branch forward to what its remote has; two lines of work are not joined "
    "here yet: put yours on top with muse switch and muse restore --source",
    "rebase": "muse switch -c NAME BRANCH, then muse restore --source YOURS PATH brings files over",
    "cherry-pick": "muse restore --source REVISION PATH brings files over; then muse commit",
    "rm": "delete the file; muse commit records that it is gone",
    "mv": "move the file; muse commit finds where it went",
    "lfs": "nothing to set up: large files are cut into pieces, and only changed pieces are stored and sent",
    "stash": "commit to a branch of its own: muse switch -c NAME, then muse commit",
    "reflog": "muse oplog lists every operation that moved a branch",
    "ls-files": "muse ls-tree -r HEAD lists the files of the last commit",
    "login": "muse auth login",
    "logout": "muse auth logout",
    "whoami": "muse auth whoami",
    "keygen": "muse auth keygen",
    "import": "muse git import SOURCE",
    "export": "muse git export DIR",
}
"""What to say to those who come from Git."""


def module_name(command: str) -> str:
    return "muse.cli.commands." + command.replace("-", "_")
