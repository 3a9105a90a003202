"""Cases and versions in the words of MONAI Label's clients.

``objects.<id>.image.info`` and ``objects.<id>.labels.<tag>.info`` as its ``datastore_v2.json`` has
them; ``segmentationMeta`` with all five keys, without which the stock Reviewer loads no list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.review.records import DRAFT_TAG, Case, CaseOverview, Note, Version


def object_record(overview: CaseOverview) -> dict[str, Any]:
    """A case with its image and its label maps by tag."""
    return {
        "image": image_record(overview.case),
        "labels": {
            tag: label_record(version, overview.notes.get(tag))
            for tag, version in overview.versions.items()
            # In a consensus case nobody sees the others' contours.
            if not overview.case.is_consensus or version.tag == DRAFT_TAG
        },
    }


def image_record(case: Case) -> dict[str, Any]:
    """A case's image."""
    return {
        "ext": case.image_name.removeprefix(case.id),
        "info": {
            **case.image_info,
            "ts": int(case.created.timestamp()),
            "name": case.image_name,
            "state": case.state.value,
            "consensus": case.is_consensus,
        },
    }


def offers_of(image_info: Mapping[str, Any]) -> dict[str, Any]:
    """To whom a case was offered last, by strategy; clients can note anything under that name."""
    offers = image_info.get("strategy")
    if not isinstance(offers, Mapping):
        return {}
    return {name: offer for name, offer in offers.items() if isinstance(offer, Mapping)}


def label_record(version: Version, note: Note | None) -> dict[str, Any]:
    """A label map under a tag, with the review that stands on it."""
    info: dict[str, Any] = {
        **_with_names_in_order(version.info),
        "ts": int(version.created.timestamp()),
        "name": f"{version.case}{version.file.ending}",
        "client_id": version.author,
        "label_info": [
            {"name": s.name, "idx": s.value} for s in STRUCTURES if s.name in version.volumes_ml
        ],
        "version": version.number,
        "sha256": version.file.sha256,
        "volumes_ml": dict(version.volumes_ml),
    }
    info.pop("segmentationMeta", None)
    if note is not None:
        info["segmentationMeta"] = {
            "status": note.status.value,
            "approvedBy": note.reviewer,
            "level": note.level.value,
            "comment": note.comment,
            "editTime": int(note.created.timestamp()),
        }
    return {"ext": version.file.ending, "info": info}


def _with_names_in_order(info: Mapping[str, Any]) -> dict[str, Any]:
    """The information with ``params.label_names`` in the values' order.

    3D Slicer gives these names, one after the other, to the segments that it finds in a draft: in
    another order the names would be shifted. JSON objects as stored have no order of their own.
    """
    params = info.get("params")
    names = params.get("label_names") if isinstance(params, Mapping) else None
    if not isinstance(params, Mapping) or not isinstance(names, Mapping):
        return dict(info)
    if not all(isinstance(value, int) for value in names.values()):  # taken over from elsewhere
        rest = {key: value for key, value in params.items() if key != "label_names"}
        return {**info, "params": rest}
    ordered = dict(sorted(names.items(), key=lambda item: item[1]))
    return {**info, "params": {**params, "label_names": ordered}}
