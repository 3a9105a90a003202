"""Computes the agreement of hand-overs that have none yet: draft to initial, initial to approved.

It takes seconds, so that nobody waits for it with a save; what is open stays in the store until
somebody computes it, whichever process that is.
"""

from __future__ import annotations

import logging
from typing import Final

from parotid_brachy.lib.errors import ParotidBrachyError
from parotid_brachy.lib.review.agreement import AgreementRow, Contours, agreement
from parotid_brachy.lib.review.effort import Effort, HandedOver, effort
from parotid_brachy.lib.review.intake import labels_of
from parotid_brachy.lib.review.records import HandOver, Version
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages

logger = logging.getLogger(__name__)

_AT_A_TIME: Final = 20


def compute_open_agreements(
    store: VersionStore, images: StudyImages, *, failed: set[HandOver] | None = None
) -> int:
    """Computes and keeps what is open; returns how many.

    One that cannot be computed, because its image is away, say, stays open and is told in the log.

    Args:
        store: the version store.
        images: the cases' images.
        failed: what is passed over, so that it keeps no others waiting; what fails comes to it.
    """
    failed = set() if failed is None else failed
    done = 0
    for hand_over in store.handovers_without_agreement(_AT_A_TIME + len(failed)):
        if hand_over in failed:
            continue
        try:
            rows = agreement_of(hand_over, store, images)
        except (ParotidBrachyError, OSError) as error:
            logger.warning("%s: agreement not computed: %s", hand_over.case, error)
            failed.add(hand_over)
            continue
        except Exception:
            logger.exception("%s: agreement not computed", hand_over.case)
            failed.add(hand_over)
            continue
        store.keep_agreement(hand_over, [row.to_json() for row in rows])
        done += 1
    return done


def kept_effort(store: VersionStore, reader: str | None = None) -> Effort:
    """What hand-overs changed and how long they took, as far as they are compared.

    Args:
        store: the version store.
        reader: who handed over; None: everybody.
    """
    found = []
    for kept in store.agreements().items:
        author = store.version(kept.hand_over.case, kept.hand_over.after).author
        if reader in (None, author):
            rows = tuple(AgreementRow.from_json(row) for row in kept.rows)
            found.append(HandedOver(kept.hand_over.kind, author, rows))
    return effort(found)


def agreement_of(
    hand_over: HandOver, store: VersionStore, images: StudyImages
) -> list[AgreementRow]:
    """The agreement of two versions of a case, structure by structure.

    Raises:
        NotFoundError: the image is away.
        InputRefusedError, GeometryError, StoreError: image or label map are damaged.
    """
    before = store.version(hand_over.case, hand_over.before)
    after = store.version(hand_over.case, hand_over.after)
    grid = images.grid_of(hand_over.case)

    def contours(version: Version) -> Contours:
        labels = labels_of(store.path_of(version.file), grid)
        return Contours(labels, tuple(version.volumes_ml), version.author)

    elapsed_s = (after.created - before.created).total_seconds()
    return list(agreement(contours(before), contours(after), grid, elapsed_s=elapsed_s))
