"""The program ``parotid``: its options, its subcommands, and where errors become exit codes.

A subcommand is a module beside this one with ``register(subparsers)``, which adds its parser and
sets ``run`` (arguments in, exit code out) as that parser's default. Such a module imports nothing
heavy at its top, so that ``parotid --help`` answers at once.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Final

from parotid_brachy.lib.cli import (
    compare,
    dose,
    evaluate,
    export,
    grade,
    import_series,
    journal,
    models,
    phantom,
    predict,
    readers,
    retrain,
    store,
    train,
)
from parotid_brachy.lib.errors import ParotidBrachyError, UsageError
from parotid_brachy.lib.version import project_version

DONE: Final = 0
REFUSED: Final = 1
WRONG_CALL: Final = 2

SUBCOMMANDS: Final = (
    phantom,
    import_series,
    predict,
    train,
    retrain,
    models,
    readers,
    store,
    journal,
    export,
    evaluate,
    compare,
    grade,
    dose,
)

_LOG_LEVELS: Final = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand.

    Args:
        argv: the arguments after the program's name; ``sys.argv`` if None.

    Returns:
        The exit code: 0 done, 1 some or all of the work was refused, 2 the call was wrong.
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stopped:  # argparse has printed help, version or what is wrong
        return stopped.code if isinstance(stopped.code, int) else WRONG_CALL
    _log_to_stderr(args.verbose)
    try:
        return int(args.run(args))
    except UsageError as error:
        return _failed(error, WRONG_CALL)
    except ParotidBrachyError as error:
        return _failed(error, REFUSED)
    except KeyboardInterrupt:
        print("parotid: interrupted", file=sys.stderr)
        return REFUSED
    except BrokenPipeError:  # the reader, such as `head`, has left
        sys.stderr.close()
        return DONE


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, with every subcommand's parser."""
    parser = argparse.ArgumentParser(
        prog="parotid",
        description="Pre-labels the parotid gland and the organs at risk round it on CT.",
        epilog="Exit codes: 0 done, 1 some cases refused, 2 wrong call.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {project_version()}")
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="say more on stderr; twice: everything, with tracebacks",
    )
    subparsers = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    for subcommand in SUBCOMMANDS:
        subcommand.register(subparsers)
    return parser


def _log_to_stderr(verbosity: int) -> None:
    logging.basicConfig(
        level=_LOG_LEVELS[min(verbosity, max(_LOG_LEVELS))],
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def _failed(error: ParotidBrachyError, code: int) -> int:
    logger.debug("refused", exc_info=error)
    print(f"parotid: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
