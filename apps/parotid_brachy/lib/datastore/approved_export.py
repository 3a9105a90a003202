"""What an exported object says about the approved contours of a case of the version store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.dicom.contour_content import Approval, ContourContent, Origin
from parotid_brachy.lib.errors import ConflictError
from parotid_brachy.lib.review.reading import StoreReading
from parotid_brachy.lib.review.records import Kind, Version
from parotid_brachy.lib.review.states import CaseState


@dataclass(frozen=True)
class ApprovedContours:
    """The approved version of a case.

    Attributes:
        version: the version.
        labels: its label map, after its content was compared with its hash.
        origin: how its contours came about.
        approval: by whom and when.
    """

    version: Version
    labels: Path
    origin: Origin
    approval: Approval

    def content(self, side: Side, *, made: datetime, version: str) -> ContourContent:
        """What an object of these contours says.

        Args:
            side: the patient's.
            made: when the object is made.
            version: of this program.
        """
        return ContourContent(
            self.version.case,
            side,
            self.origin,
            made,
            reader=self.version.author,
            approval=self.approval,
            algorithm_version=version,
        )


def approved_contours(store: StoreReading, case: str) -> ApprovedContours:
    """The approved contours of a case.

    Raises:
        NotFoundError: no such case.
        ConflictError: it is not approved.
        StoreError: its file is missing or damaged.
    """
    found = store.case(case)
    if found.state is not CaseState.APPROVED or found.approved_version is None:
        message = f"{case}: is {found.state.value}, not approved. Only approved contours go out."
        raise ConflictError(message)
    version = store.version(case, found.approved_version)
    at = found.approved_at or found.changed
    assert found.approved_by is not None
    return ApprovedContours(
        version,
        store.path_of(version.file),
        _origin(version, store.versions(case)),
        Approval(found.approved_by, at),
    )


def _origin(version: Version, versions: list[Version]) -> Origin:
    """How a version came about: readers see a draft that was there before they contoured."""
    if version.kind is Kind.DRAFT:
        return Origin.DRAFT
    drafts = [one for one in versions if one.kind is Kind.DRAFT and one.number < version.number]
    return Origin.CORRECTED if drafts else Origin.MANUAL
