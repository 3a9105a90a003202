"""Every element of an object, at all levels, to what may be let out of the house."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from parotid_brachy.lib.dicom.deidentification.attribute_types import attribute_types
from parotid_brachy.lib.dicom.deidentification.coded_terms import is_public_code
from parotid_brachy.lib.dicom.deidentification.dates import (
    is_time,
    shifted_date,
    shifted_date_time,
)
from parotid_brachy.lib.dicom.deidentification.decisions import Decision, Step, decide
from parotid_brachy.lib.dicom.deidentification.descriptors import (
    is_harmless_code,
    is_harmless_text,
    is_well_formed,
)
from parotid_brachy.lib.dicom.deidentification.dummies import REMOVED, dummy_value, empty_value
from parotid_brachy.lib.dicom.deidentification.elements import (
    Known,
    are_numbers,
    as_the_dictionary_says,
    converted,
    is_stored_number,
    known,
    values_of,
)
from parotid_brachy.lib.dicom.deidentification.findings import Findings, Outcome
from parotid_brachy.lib.dicom.deidentification.identity import encoding_of, require_depth
from parotid_brachy.lib.dicom.deidentification.known_identifiers import KnownIdentifiers
from parotid_brachy.lib.dicom.deidentification.policy import DeidentificationPolicy
from parotid_brachy.lib.dicom.deidentification.pseudonyms import Pseudonyms
from parotid_brachy.lib.dicom.deidentification.well_known import is_well_known
from parotid_brachy.lib.errors import InputRefusedError

_CHARACTER_SET: Final = Tag("SpecificCharacterSet")
_CODE_VALUE, _SCHEME, _MEANING = Tag("CodeValue"), Tag("CodingSchemeDesignator"), Tag("CodeMeaning")
_MAPPED_CODE: Final = (_CODE_VALUE, _SCHEME, _MEANING)
_TERM_VRS: Final = frozenset({"CS", "LO", "SH"})
"""Whose values the standard may name: Rescale Type is LO."""
_FEW_NUMBERS: Final = 64
_OUTCOMES: Final = {
    Step.REMOVE: Outcome.REMOVED,
    Step.EMPTY: Outcome.EMPTIED,
    Step.DUMMY: Outcome.REPLACED,
}


@dataclass
class Walk:
    """One object's way through.

    Attributes:
        sop_class: the object's SOP class UID.
        policy: options in force.
        pseudonyms: of the key.
        shift_days: of the patient.
        identifiers: what identified the patient anywhere in the object.
        findings: what was done.
        uids: ``{new: original}`` of all UIDs that were replaced.
    """

    sop_class: str
    policy: DeidentificationPolicy
    pseudonyms: Pseudonyms
    shift_days: int
    identifiers: KnownIdentifiers
    findings: Findings = field(default_factory=Findings)
    uids: dict[str, str] = field(default_factory=dict)
    _elements: int = 0

    def items_of(self, source: Dataset, encoding: Any, *, path: tuple[str, ...] = ()) -> Dataset:
        """A new data set with what may stay of another.

        Args:
            source: is left as it is.
            encoding: of its texts.
            path: keywords of the sequences that hold it.

        Raises:
            InputRefusedError: more than any object has.
        """
        require_depth(len(path), self.policy.limits)
        result = Dataset()
        done = self._add_code(source, result, encoding, path)
        for tag in sorted(source.keys()):
            self._elements += 1
            if self._elements > self.policy.limits.elements:
                message = f"more than {self.policy.limits.elements} elements. Leave it out."
                raise InputRefusedError(message)
            if tag not in done:
                element = self._element(source, tag, encoding, path)
                if element is not None:
                    result[tag] = element
        return result

    def _element(
        self, source: Dataset, tag: BaseTag, encoding: Any, path: tuple[str, ...]
    ) -> DataElement | RawDataElement | None:
        if tag.is_private:
            self.findings.note(Outcome.REMOVED, "/".join((*path, "private")), "private attribute")
            return None
        entry = known(tag)
        if entry is None or tag.group < 0x0008 or tag == _CHARACTER_SET:
            if tag != _CHARACTER_SET and tag.element != 0:
                name = "/".join((*path, "unknown"))
                self.findings.note(Outcome.REMOVED, name, "unknown attribute")
            return None
        name = "/".join((*path, entry.keyword or f"{tag.group:04X},{tag.element:04X}"))
        kind = attribute_types().type_of(
            self.sop_class, entry.keyword, parent=path[-1] if path else ""
        )
        decision = decide(tag, entry.vr, kind, self.policy)
        if decision.step in _OUTCOMES:
            return self._fallback(tag, entry, decision.step, name, decision.reason)
        stored = as_the_dictionary_says(source.get_item(tag), entry)
        if stored is None:
            reason = "its value representation is another attribute's"
            return self._fallback(tag, entry, decision.fallback, name, reason)
        if decision.step is Step.NUMBERS and is_stored_number(stored, entry):
            return self._stored_numbers(stored, entry, decision, name)
        element = converted(stored, encoding, self.policy.limits)
        if element is None or not entry.allows(element.VR):
            return self._fallback(tag, entry, decision.fallback, name, "damaged value")
        return self._stepped(element, entry, decision, encoding, path, name)

    def _stepped(
        self,
        element: DataElement,
        entry: Known,
        decision: Decision,
        encoding: Any,
        path: tuple[str, ...],
        name: str,
    ) -> DataElement | None:
        if decision.step is Step.ITEMS:
            return self._sequence(element, entry, encoding, path)
        if decision.step is Step.BULK:
            is_packed = element.is_undefined_length
            return DataElement(
                element.tag, element.VR, element.value, is_undefined_length=is_packed
            )
        if decision.step is Step.NUMBERS:
            if are_numbers(element, entry) and not self._is_identifier(element):
                return DataElement(element.tag, element.VR, element.value)
            return self._fallback(element.tag, entry, decision.fallback, name, "no plain number")
        if element.is_empty:
            return DataElement(element.tag, element.VR, None)
        changes: dict[Step, Callable[[str], str | None]] = {
            Step.UID: self._uid,
            Step.SHIFT: self._shifted_date_time if element.VR == "DT" else self._shifted_date,
            Step.TIME: lambda text: text.strip() if is_time(text) else None,
            Step.KEEP: _kept_if(lambda text: is_well_formed(text, element.VR)),
            Step.CLEAN: _kept_if(is_harmless_code if element.VR in _TERM_VRS else is_harmless_text),
        }
        return self._texts(element, entry, decision, changes[decision.step], name)

    def _texts(
        self,
        element: DataElement,
        entry: Known,
        decision: Decision,
        change: Callable[[str], str | None],
        name: str,
    ) -> DataElement | None:
        before = values_of(element, self.policy.limits)
        is_text = decision.step in (Step.KEEP, Step.CLEAN)
        after = [
            None if is_text and self.identifiers.is_within(text) else change(text)
            for text in before
        ]
        if element.VR == "CS" and len(after) > 1 and None in after:
            # Image Type (PS3.3, section C.7.6.1.1.2) and the like: the place of a value counts.
            self.findings.note(Outcome.REPLACED, name, decision.reason)
            after = [dummy_value("CS") if value is None else value for value in after]
        if None in after:
            return self._fallback(element.tag, entry, decision.fallback, name, decision.reason)
        self._note(decision, name, is_same=after == before)
        return DataElement(element.tag, element.VR, after[0] if len(after) == 1 else after)

    def _note(self, decision: Decision, name: str, *, is_same: bool) -> None:
        if decision.step is Step.KEEP:
            self.findings.note(Outcome.KEPT, name, decision.reason)
        elif decision.step is Step.SHIFT:
            self.findings.note(Outcome.SHIFTED, name, decision.reason)
        elif decision.step is Step.UID and not is_same:
            self.findings.note(Outcome.NEW_UID, name, decision.reason)
        elif decision.step is Step.CLEAN and decision.reason == "descriptors":
            self.findings.note(Outcome.KEPT, name, "harmless words only")

    def _fallback(
        self, tag: BaseTag, entry: Known, step: Step, name: str, reason: str
    ) -> DataElement | None:
        self.findings.note(_OUTCOMES[step], name, reason)
        if step is Step.REMOVE:
            return None
        vr = entry.vr.split(" ", maxsplit=1)[0]
        return DataElement(tag, vr, dummy_value(vr) if step is Step.DUMMY else empty_value(vr))

    def _sequence(
        self, element: DataElement, entry: Known, encoding: Any, path: tuple[str, ...]
    ) -> DataElement:
        inner = (*path, entry.keyword)
        items = [
            self.items_of(item, encoding_of(item, self.policy.limits, encoding), path=inner)
            for item in (element.value or [])
        ]
        return DataElement(element.tag, "SQ", Sequence(items))

    def _stored_numbers(
        self, stored: DataElement | RawDataElement, entry: Known, decision: Decision, name: str
    ) -> DataElement | RawDataElement | None:
        assert isinstance(stored, RawDataElement)
        content = stored.value or b""
        is_decimal = entry.vr in ("DS", "IS")
        if len(content) > self.policy.limits.number_bytes:
            message = f"{name}: {len(content)} bytes of numbers. Leave this object out."
            raise InputRefusedError(message)
        is_identifier = (
            any(map(self.identifiers.is_number, content.split(b"\\", maxsplit=_FEW_NUMBERS)))
            if is_decimal
            else self.identifiers.is_in_bytes(content)
        )
        if is_identifier:
            return self._fallback(stored.tag, entry, decision.fallback, name, "an identifier")
        return stored._replace(VR=entry.vr)

    def _is_identifier(self, element: DataElement) -> bool:
        if element.VR not in ("DS", "IS"):
            return False
        value = element.value
        listed = value if isinstance(value, list) or hasattr(value, "append") else [value]
        few = [str(number) for number in listed[:_FEW_NUMBERS]]
        return any(self.identifiers.is_number(text.encode()) for text in few)

    def _add_code(
        self, source: Dataset, result: Dataset, encoding: Any, path: tuple[str, ...]
    ) -> tuple[BaseTag, ...]:
        """Adds a coded term (PS3.3, section 8.8) as a whole, if the item is one."""
        if not path or _CODE_VALUE not in source:
            return ()
        value, scheme, meaning = (
            self._text(source, tag, encoding) if tag in source else "" for tag in _MAPPED_CODE
        )
        name = "/".join(path)
        if not is_public_code(value, scheme) or self.identifiers.is_within(value):
            self.findings.note(Outcome.REPLACED, name, "code of no public scheme")
            value, scheme, meaning = REMOVED, "99REMOVED", REMOVED
        elif not is_harmless_text(meaning) or self.identifiers.is_within(meaning):
            self.findings.note(Outcome.REPLACED, f"{name}/CodeMeaning", "descriptors")
            meaning = REMOVED
        for tag, vr, text in zip(
            _MAPPED_CODE, ("SH", "SH", "LO"), (value, scheme, meaning), strict=True
        ):
            result.add_new(tag, vr, text)
        return _MAPPED_CODE

    def _text(self, source: Dataset, tag: BaseTag, encoding: Any) -> str:
        element = converted(source.get_item(tag), encoding, self.policy.limits)
        values = [] if element is None else values_of(element, self.policy.limits)
        return values[0].strip() if len(values) == 1 else ""

    def _uid(self, text: str) -> str:
        original = text.strip(" \0")
        if not original or is_well_known(original):
            return original
        new = self.pseudonyms.uid(original)
        self.uids[new] = original
        return new

    def _shifted_date(self, text: str) -> str | None:
        return shifted_date(text, days=self.shift_days)

    def _shifted_date_time(self, text: str) -> str | None:
        return shifted_date_time(text, days=self.shift_days)


def _kept_if(is_harmless: Callable[[str], bool]) -> Callable[[str], str | None]:
    return lambda text: text if is_harmless(text) else None
