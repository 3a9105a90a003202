"""``parotid readers``: who works here, with which role and password."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parotid_brachy.lib.review.readers import ReadersFile

_ROLES = ("annotator", "reviewer", "admin")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand and its actions."""
    parser = subparsers.add_parser("readers", help="add, list, change and remove readers")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    add = actions.add_parser("add", help="add a reader; the password is asked for")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--role", required=True, choices=_ROLES, help="each includes the ones before")
    _add_password(add)
    add.set_defaults(run=_add)

    passwd = actions.add_parser("passwd", help="give a reader another password")
    passwd.add_argument("name", metavar="NAME")
    _add_password(passwd)
    passwd.set_defaults(run=_passwd)

    roles = actions.add_parser("roles", help="give a reader another role")
    roles.add_argument("name", metavar="NAME")
    roles.add_argument("role", metavar="ROLE", choices=_ROLES, help=", ".join(_ROLES))
    roles.set_defaults(run=_roles)

    listing = actions.add_parser("list", help="list all readers")
    listing.set_defaults(run=_list)

    remove = actions.add_parser("remove", help="remove a reader; what he or she did stays")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(run=_remove)

    for action in (add, passwd, roles, listing, remove):
        place = action.add_mutually_exclusive_group(required=True)
        place.add_argument("--studies", type=Path, metavar="DIR", help="folder of studies")
        place.add_argument("--readers", type=Path, metavar="FILE", help="the readers file itself")


def _add_password(parser: argparse.ArgumentParser) -> None:
    password = parser.add_mutually_exclusive_group()
    password.add_argument(
        "--password-stdin", action="store_true", help="read it from the first line of stdin"
    )
    password.add_argument(
        "--no-password",
        action="store_true",
        help="none: the reader is known by name only, and cannot log in",
    )


def _file(args: argparse.Namespace) -> ReadersFile:
    from parotid_brachy.lib.errors import UsageError
    from parotid_brachy.lib.review.readers import ReadersFile, readers_file_of

    if args.readers is not None:
        return ReadersFile(args.readers)
    if not args.studies.is_dir():
        message = f"--studies {args.studies}: there is no such folder"
        raise UsageError(message)
    return ReadersFile(readers_file_of(args.studies))


def _password(args: argparse.Namespace) -> str | None:
    from parotid_brachy.lib.errors import UsageError

    if args.no_password:
        return None
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(f"Password of {args.name}: ")
    if getpass.getpass("The same again: ") != password:
        message = "the two passwords differ; nothing was changed"
        raise UsageError(message)
    return password


def _add(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.review.roles import Role, checked_reader_name

    checked_reader_name(args.name)  # before a password is typed for nothing
    record = _file(args).add(args.name, Role(args.role), _password(args))
    sys.stdout.write(f"{record.name} is {record.role.value}\n")
    return 0


def _passwd(args: argparse.Namespace) -> int:
    record = _file(args).set_password(args.name, _password(args))
    now = "no password any more" if record.password_hash is None else "a new password"
    sys.stdout.write(f"{record.name} has {now}; earlier logins have ended\n")
    return 0


def _roles(args: argparse.Namespace) -> int:
    from parotid_brachy.lib.review.roles import Role

    record = _file(args).set_role(args.name, Role(args.role))
    sys.stdout.write(f"{record.name} is {record.role.value}; earlier logins have ended\n")
    return 0


def _list(args: argparse.Namespace) -> int:
    readers = _file(args)
    for record in readers.all():
        login = "can log in" if record.password_hash else "name only"
        sys.stdout.write(f"{record.role.value:<10} {login:<11} {record.name}\n")
    if not readers.all():
        sys.stdout.write(f"no readers in {readers.path}\n")
    return 0


def _remove(args: argparse.Namespace) -> int:
    _file(args).remove(args.name)
    sys.stdout.write(f"{args.name} is removed; earlier logins have ended\n")
    return 0
