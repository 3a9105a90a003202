"""De-identification of one DICOM object (PS3.15, Annex E)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydicom.dataset import Dataset, FileDataset

from parotid_brachy.lib.dicom.deidentification.file_frame import framed
from parotid_brachy.lib.dicom.deidentification.findings import Findings, Outcome
from parotid_brachy.lib.dicom.deidentification.identity import (
    STUDY_KEYWORDS,
    Originals,
    encoding_of,
    identifiers_in,
    identity_of,
    text_of,
)
from parotid_brachy.lib.dicom.deidentification.key import PseudonymKey
from parotid_brachy.lib.dicom.deidentification.method import add_marks
from parotid_brachy.lib.dicom.deidentification.pixels import check_burned_in, clean_pixels
from parotid_brachy.lib.dicom.deidentification.policy import DeidentificationPolicy
from parotid_brachy.lib.dicom.deidentification.pseudonyms import PatientIdentity, Pseudonyms
from parotid_brachy.lib.dicom.deidentification.walk import Walk
from parotid_brachy.lib.dicom.deidentification.well_known import is_well_known
from parotid_brachy.lib.errors import InputRefusedError, ParotidBrachyError

_UTF_8: Final = "ISO_IR 192"


@dataclass(frozen=True)
class Deidentified:
    """An object that may leave the house.

    Attributes:
        dataset: the object, with a file meta information of its own.
        findings: what was done, without any value.
        originals: what the hospital's mapping keeps for the way back; must not leave the house.
    """

    dataset: FileDataset
    findings: Findings
    originals: Originals = field(repr=False)


class Deidentifier:
    """Takes out of objects who the patient is.

    The same object, key and policy always give the same result, byte by byte; references between
    objects stay intact, whatever the order in which they come.

    Args:
        key: whence pseudonyms, UIDs and shifts of dates follow.
        policy: options in force.
    """

    def __init__(self, key: PseudonymKey, policy: DeidentificationPolicy) -> None:
        self._pseudonyms = Pseudonyms(key)
        self._policy = policy

    def apply(self, dataset: FileDataset) -> Deidentified:
        """A de-identified copy; the object itself is left as it is.

        Raises:
            InputRefusedError: damaged, of an unknown kind, nested or filled beyond measure, or
                its pixels may show the patient's name. The message holds no value of it; name
                the file when it is shown.
        """
        try:
            return self._applied(dataset)
        except ParotidBrachyError:
            raise
        # pydicom lets nearly any error through where an object is damaged.
        except Exception as error:  # noqa: BLE001
            # No text of the error: it may quote a value. No chain either, for the same reason.
            message = f"damaged DICOM object ({type(error).__name__}). Export it again."
            raise InputRefusedError(message) from None

    def _applied(self, source: FileDataset) -> Deidentified:
        limits = self._policy.limits
        sop_class = text_of(source, "SOPClassUID", limits)
        if not is_well_known(sop_class):
            raise InputRefusedError("a SOP class of no standard, or none. Leave this object out.")
        if not text_of(source, "SOPInstanceUID", limits):
            raise InputRefusedError("it has no SOPInstanceUID. Export the object again.")
        findings = Findings()
        check_burned_in(source, self._policy, findings)
        identity = identity_of(source, limits)
        walk = Walk(
            sop_class=sop_class,
            policy=self._policy,
            pseudonyms=self._pseudonyms,
            shift_days=self._pseudonyms.shift_days(identity),
            identifiers=identifiers_in(source, limits),
            findings=findings,
        )
        result = walk.items_of(source, encoding_of(source, limits))
        clean_pixels(source, result, self._policy.limits, findings)
        pseudonym = self._pseudonyms.patient(identity)
        result.SpecificCharacterSet = _UTF_8
        result.PatientName = result.PatientID = pseudonym
        if "Laterality" in result and not result.Laterality:
            # Type 2C (PS3.3, C.7.3.1): for paired parts of the body it is stated; empty, it says
            # nothing, and must not be there for others.
            del result.Laterality
        add_marks(result, self._policy)
        if not identity.patient_id:
            findings.note(
                Outcome.FLAGGED, "PatientID", "missing: objects of this patient may not be matched"
            )
        originals = self._originals(source, result, walk, identity, pseudonym)
        return Deidentified(framed(result, source), findings, originals)

    def _originals(
        self,
        source: FileDataset,
        result: Dataset,
        walk: Walk,
        identity: PatientIdentity,
        pseudonym: str,
    ) -> Originals:
        limits = self._policy.limits
        return Originals(
            pseudonym=pseudonym,
            patient_id=identity.patient_id,
            issuer=identity.issuer,
            name=text_of(source, "PatientName", limits),
            birth_date=text_of(source, "PatientBirthDate", limits),
            sex=text_of(source, "PatientSex", limits),
            shift_days=walk.shift_days if self._policy.retain_modified_dates else 0,
            study_uid=str(result.get("StudyInstanceUID", "") or ""),
            study={keyword: text_of(source, keyword, limits) for keyword in STUDY_KEYWORDS},
            uids=dict(walk.uids),
        )
