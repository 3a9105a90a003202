"""The order in which a grader sees items: random to whoever lacks the secret, and reproducible."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence


def grading_order(
    items: Mapping[str, Sequence[str]], *, secret: bytes, grader: str
) -> tuple[str, ...]:
    """One grader's order of all items.

    Items come in rounds. A round has every case once, shuffled anew, with the next of the case's
    shuffled items; so a case's items lie apart, and are never neighbours unless there is but one
    case left.

    Args:
        items: ids of the items of each case; every case may have as many as it likes.
        secret: of the study.
        grader: whose order it is; another grader's is independent of it.
    """

    def drawn(*words: object) -> bytes:
        text = "\0".join((grader, *map(str, words)))
        return hmac.new(secret, text.encode(), hashlib.sha256).digest()

    waiting = {
        case: sorted(own, key=lambda item: drawn("item", item)) for case, own in items.items()
    }
    order: list[str] = []
    last = ""
    for number in range(max(map(len, waiting.values()), default=0)):
        cases = sorted(
            (case for case, own in waiting.items() if number < len(own)),
            key=lambda case: drawn("round", number, case),
        )
        if len(cases) > 1 and cases[0] == last:
            cases[0], cases[1] = cases[1], cases[0]
        order += [waiting[case][number] for case in cases]
        last = cases[-1]
    return tuple(order)
