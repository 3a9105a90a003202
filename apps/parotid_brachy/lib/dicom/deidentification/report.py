"""What was done to a case, for its file: JSON for programs, plain text for people. No values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from parotid_brachy.lib.dicom.deidentification.deidentifier import Deidentified
from parotid_brachy.lib.dicom.deidentification.findings import Findings, Outcome
from parotid_brachy.lib.dicom.deidentification.policy import DeidentificationPolicy
from parotid_brachy.lib.version import project_version

_PROFILE: Final = "DICOM PS3.15 Annex E, Basic Application Level Confidentiality Profile"


@dataclass(frozen=True)
class CaseReport:
    """One case's report.

    Attributes:
        pseudonyms: of the case's patients; one, unless objects were mixed up.
        objects: how many were de-identified.
        policy: options that were in force.
        findings: of all objects together.
    """

    pseudonyms: tuple[str, ...]
    objects: int
    policy: DeidentificationPolicy
    findings: Findings

    @classmethod
    def of(cls, objects: Sequence[Deidentified], policy: DeidentificationPolicy) -> CaseReport:
        """The report on the objects of one case."""
        findings = Findings()
        for one in objects:
            findings.add(one.findings)
        pseudonyms = sorted({one.originals.pseudonym for one in objects})
        return cls(tuple(pseudonyms), len(objects), policy, findings)

    def to_json(self) -> str:
        """The report as JSON."""
        content: dict[str, Any] = {
            "program": f"parotid-brachy {project_version()}",
            "profile": _PROFILE,
            "options": self._options(),
            "pseudonyms": list(self.pseudonyms),
            "objects": self.objects,
        }
        for outcome in Outcome:
            content[outcome.name.lower()] = [
                {"attribute": finding.attribute, "reason": finding.reason, "count": count}
                for finding, count in self.findings.with_outcome(outcome)
            ]
        return json.dumps(content, indent=2) + "\n"

    def to_text(self) -> str:
        """The report for people."""
        lines = [
            f"De-identification by {_PROFILE}",
            f"Program: parotid-brachy {project_version()}",
            f"Options: {', '.join(self._options()) or 'none'}",
            f"Patient: {', '.join(self.pseudonyms)}",
            f"Objects: {self.objects}",
        ]
        for outcome in (Outcome.FLAGGED, *(one for one in Outcome if one is not Outcome.FLAGGED)):
            found = self.findings.with_outcome(outcome)
            if found:
                lines += ["", f"{outcome.value.capitalize()}:"]
                lines += [
                    f"  {finding.attribute} ({finding.reason}), {count} x"
                    for finding, count in found
                ]
        return "\n".join(lines) + "\n"

    def _options(self) -> list[str]:
        return [option.value for option in self.policy.options]
