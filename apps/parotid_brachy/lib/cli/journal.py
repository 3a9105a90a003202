"""``parotid journal``: what was done with the cases, and whether the record of it is whole."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING

from parotid_brachy.lib.cli.store import add_store_options, existing_store

if TYPE_CHECKING:
    from parotid_brachy.lib.review.records import JournalEntry

_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand and its actions."""
    parser = subparsers.add_parser("journal", help="show and verify what was done with the cases")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = actions.add_parser("verify", help="find entries that were changed, added or removed")
    add_store_options(verify)
    verify.add_argument(
        "--head",
        type=_head,
        action="append",
        default=[],
        metavar="NUMBER:HASH",
        help="an entry that you noted down earlier, as verify prints it, and that must be there",
    )
    verify.set_defaults(run=_verify)
    show = actions.add_parser("show", help="print entries, the oldest first")
    add_store_options(show)
    show.add_argument("--case", metavar="ID", help="those on one case only")
    show.add_argument(
        "--after", type=_number, metavar="NUMBER", help="from the next one on (default: the last)"
    )
    show.add_argument("--limit", type=_number, default=20, metavar="N", help="default: 20")
    show.add_argument("--json", action="store_true", help="whole entries, as JSON lines")
    show.set_defaults(run=_show)


def _head(text: str) -> tuple[int, str]:
    match = _HEAD.fullmatch(text)
    if match is None:
        message = "write NUMBER:HASH as 'parotid journal verify' prints it"
        raise argparse.ArgumentTypeError(message)
    return int(match[1]), match[2]


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        message = "write a whole number"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _verify(args: argparse.Namespace) -> int:
    from contextlib import closing

    from parotid_brachy.lib.review import journal

    with closing(existing_store(args)) as store, store.database.reading() as connection:
        faults = list(journal.faults(connection, noted=args.head))
        sequence, head = journal.head(connection)
    sys.stdout.writelines(f"DAMAGED {fault}\n" for fault in faults)
    sys.stdout.write(f"{sequence} entries, head {sequence}:{head}\n")
    return int(bool(faults))


def _show(args: argparse.Namespace) -> int:
    from contextlib import closing

    with closing(existing_store(args)) as store:
        if args.after is None:
            offset = max(0, store.journal_length(args.case) - args.limit)
            entries = store.journal(case=args.case, offset=offset, limit=args.limit)
        else:
            entries = store.journal(case=args.case, after=args.after, limit=args.limit)
    for entry in entries:
        sys.stdout.write(_as_json(entry) if args.json else _as_line(entry))
    return 0


def _as_json(entry: JournalEntry) -> str:
    return json.dumps({**vars(entry), "at": entry.at.isoformat()}) + "\n"


def _as_line(entry: JournalEntry) -> str:
    details = " ".join(f"{name}={json.dumps(value)}" for name, value in entry.details.items())
    about = f"{entry.at:%Y-%m-%d %H:%M:%S} {entry.actor} {entry.action} {entry.case or '-'}"
    return f"{entry.sequence:>6} {about} {details}".rstrip() + "\n"
