"""What dcmqi is told about the segments: its JSON, from the table of structures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from parotid_brachy.lib.anatomy import CATEGORY, LATERALITY, CodedConcept, Side, Structure
from parotid_brachy.lib.dicom.contour_content import ALGORITHM, ContourContent, Origin
from parotid_brachy.lib.dicom.source_series import SourceSeries

SERIES_NUMBER: Final = 7001


def metadata_of(
    structures: Sequence[Structure], series: SourceSeries, content: ContourContent
) -> dict[str, Any]:
    """A segmentation as dcmqi wants it described (its ``seg-schema``).

    Args:
        structures: those that the map holds, no others.
        series: the CT that was contoured.
        content: who made the contours, how, and of which side.
    """
    return {
        "ContentCreatorName": content.creator,
        "ContentLabel": "PAROTID_REGION",
        "ContentDescription": content.description,
        "SeriesDescription": content.description,
        "SeriesNumber": str(SERIES_NUMBER),
        "InstanceNumber": "1",
        # Without them the object has Clinical Trial modules that lack a required element.
        "ClinicalTrialSeriesID": ALGORITHM,
        "ClinicalTrialTimePointID": "0",
        "ClinicalTrialCoordinatingCenterName": ALGORITHM,
        "segmentAttributes": [[_segment(one, series, content) for one in structures]],
    }


def _segment(structure: Structure, series: SourceSeries, content: ContourContent) -> dict[str, Any]:
    segment = {
        "labelID": structure.value,
        "SegmentLabel": structure.name,
        "SegmentDescription": f"{structure.title}, {content.side.value}",
        "SegmentAlgorithmType": content.origin.value,
        "SegmentedPropertyCategoryCodeSequence": _code(CATEGORY),
        "SegmentedPropertyTypeCodeSequence": _code(structure.coded),
        "SegmentedPropertyTypeModifierCodeSequence": _code(LATERALITY[content.side]),
        "TrackingIdentifier": f"{structure.name} {content.side.value}",
        "TrackingUniqueIdentifier": tracking_uid(
            content.case, structure, content.side, series.series_uid
        ),
        "recommendedDisplayRGBValue": list(structure.colour),
    }
    if content.origin is not Origin.MANUAL:
        segment["SegmentAlgorithmName"] = content.algorithm
    return segment


def tracking_uid(case: str, structure: Structure, side: Side, series_uid: str) -> str:
    """The same for every version of one structure's contours on one series (PS3.5, section B.2)."""
    parts = (ALGORITHM, "tracking", case, structure.name, side.value, series_uid)
    text = "\x1f".join(parts)
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"


def _code(concept: CodedConcept) -> dict[str, str]:
    return {
        "CodeValue": concept.value,
        "CodingSchemeDesignator": concept.scheme,
        "CodeMeaning": concept.meaning,
    }
