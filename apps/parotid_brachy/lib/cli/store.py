"""``parotid store``: verify, export, restore and fill the version store of a folder of studies."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from parotid_brachy.lib.cli.store_import import register_import

if TYPE_CHECKING:
    from parotid_brachy.lib.review.store import VersionStore

_RECOVERY_WAIT_S = 10.0


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand and its actions."""
    parser = subparsers.add_parser(
        "store", help="verify, export, restore and import the contours of a folder of studies"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = actions.add_parser(
        "verify", help="compare every file, row and journal entry; clear up after a sudden end"
    )
    add_store_options(verify)
    verify.set_defaults(run=_verify)
    export = actions.add_parser("export", help="write the whole store into one new .tar file")
    add_store_options(export)
    export.add_argument("archive", type=Path, metavar="FILE", help="the new archive")
    export.set_defaults(run=_export)
    restore = actions.add_parser("restore", help="fill a new, empty store from an archive")
    add_store_options(restore)
    restore.add_argument("archive", type=Path, metavar="FILE", help="what export has written")
    restore.set_defaults(run=_restore)
    register_import(actions)


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which store is meant."""
    parser.add_argument(
        "--studies", type=Path, required=True, metavar="DIR", help="folder of studies"
    )
    parser.add_argument(
        "--database",
        metavar="URL",
        help="postgresql://user@host/database, where the store's rows are not in the folder; "
        "the password is better left to PGPASSFILE than given here",
    )


def existing_store(args: argparse.Namespace) -> VersionStore:
    """The store that the options name, as it is.

    Raises:
        UsageError: there is none.
        StoreError: it cannot be read.
    """
    from parotid_brachy.lib.errors import UsageError
    from parotid_brachy.lib.review.belonging import has_store
    from parotid_brachy.lib.review.records import STORE_FOLDER
    from parotid_brachy.lib.review.store import VersionStore

    if not has_store(args.studies / STORE_FOLDER):
        message = f"{args.studies}: no version store here"
        raise UsageError(message)
    return VersionStore.open_as_it_is(args.studies / STORE_FOLDER, database_url=args.database)


def _verify(args: argparse.Namespace) -> int:
    from contextlib import closing

    from parotid_brachy.lib.review.verification import verify

    with closing(existing_store(args)) as store:
        recovered = store.recover(wait_s=_RECOVERY_WAIT_S)
        renewed = store.published.repair()
        found = verify(store)
    if recovered is None:
        sys.stdout.write("others are saving: what a sudden end left was not cleared up\n")
    elif recovered.orphans or recovered.temporary:
        sys.stdout.write(
            f"cleared up: {len(recovered.orphans)} files that were never saved to their end, "
            f"{recovered.temporary} half-written ones\n"
        )
    if renewed:
        sys.stdout.write(f"cleared up: {renewed} files under labels/ renewed\n")
    sys.stdout.writelines(f"DAMAGED {fault}\n" for fault in found.faults)
    sequence, head = found.head
    sys.stdout.write(
        f"{found.cases} cases, {found.versions} versions, {found.files} files, "
        f"{sequence} journal entries (head {sequence}:{head}): "
        f"{f'{len(found.faults)} faults' if found.faults else 'ok'}\n"
    )
    return int(bool(found.faults))


def _export(args: argparse.Namespace) -> int:
    from contextlib import closing

    from parotid_brachy.lib.review.archive import export

    with closing(existing_store(args)) as store:
        done = export(store, args.archive)
    sys.stdout.write(
        f"{args.archive}: {done.files} files, {done.entries} journal entries, "
        f"{done.size_bytes} bytes\n"
    )
    return 0


def _restore(args: argparse.Namespace) -> int:
    from contextlib import closing

    from parotid_brachy.lib.errors import UsageError
    from parotid_brachy.lib.review.records import STORE_FOLDER
    from parotid_brachy.lib.review.restoring import restore
    from parotid_brachy.lib.review.store import VersionStore

    for path, is_there, what in (
        (args.studies, args.studies.is_dir(), "folder"),
        (args.archive, args.archive.is_file(), "file"),
    ):
        if not is_there:
            message = f"{path}: no such {what}"
            raise UsageError(message)
    folder = args.studies / STORE_FOLDER
    with closing(VersionStore.open(folder, database_url=args.database)) as store:
        done = restore(store, args.archive)
    sys.stdout.write(f"{folder}: {done.files} files, {done.entries} journal entries\n")
    return 0
