"""MONAI Label's routes for label maps, as its clients call them, on the workflow.

Same addresses, parameters and answers as the framework's; behind them somebody with a name and a
role, the state table and the version store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import FileResponse
from monailabel.interfaces.utils.app import app_instance

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.errors import (
    NotAuthenticatedError,
    NotFoundError,
    TooLargeError,
    UsageError,
)
from parotid_brachy.lib.review.intake import LIMITS
from parotid_brachy.lib.review.records import INITIAL_TAG, Level, ReviewStatus
from parotid_brachy.lib.review.reviewing import Review
from parotid_brachy.lib.review.roles import Reader
from parotid_brachy.lib.review.workflow import Received
from parotid_brachy.lib.server.authentication import (
    Identity,
    identity_of,
    reviewer_without_token,
    stated_reader,
)
from parotid_brachy.lib.server.wire import checked_id, checked_tag, json_object

_META: Final = "segmentationMeta"
_LABEL_INFO: Final = "label_info"


def studies() -> Studies:
    """The folder of studies that is served.

    Raises:
        NotFoundError: a DICOMweb archive is served, which has no contours of its own here.
    """
    store = app_instance().datastore()
    if not isinstance(store, Studies):
        message = (
            "contours are kept for a folder of studies; an archive is served, for which there are "
            "drafts only"
        )
        raise NotFoundError(message)
    return store


def router() -> APIRouter:
    """The routes below ``/datastore`` that change or serve label maps."""
    routes = APIRouter(prefix="/datastore", tags=["Datastore"])
    routes.add_api_route("/label", save_label, methods=["PUT"])
    routes.add_api_route("/label", serve_label, methods=["GET"])
    routes.add_api_route("/label", check_label, methods=["HEAD"])
    routes.add_api_route("/label", withdraw_label, methods=["DELETE"])
    routes.add_api_route("/label/info", label_info, methods=["GET"])
    routes.add_api_route("/label/info", review_label, methods=["PUT"])
    routes.add_api_route("/updatelabelinfo", review_label_deprecated, methods=["PUT"])
    return routes


def save_label(
    http: Request,
    image: Annotated[str, Query()],
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: Annotated[str, Query()] = "",
) -> dict[str, Any]:
    """Keeps contours: without a tag or as ``final`` a submission, as ``version_N`` a correction."""
    case = checked_id(image, what="image")
    if tag:
        checked_tag(tag)
    told = json_object(params, what="params")
    meta = told.pop(_META, None)
    said = None if meta is None else review_of(meta)
    names = told.pop(_LABEL_INFO, None)
    if names is not None and not _is_list_of_objects(names):
        message = f"{case}: label_info must be a list of objects with name and idx"
        raise UsageError(message)
    if (label.size or 0) > LIMITS.received_bytes:  # before it is read into memory
        message = (
            f"{case}: a label map of {label.size} bytes; at most {LIMITS.received_bytes} are "
            "taken. Save it compressed (.nii.gz, .seg.nrrd)."
        )
        raise TooLargeError(message)
    identity = identity_of(http)
    senior = reviewer_without_token(http, _approver(meta))
    reader = senior or stated_reader(identity, told.get("client_id"))
    if said is not None and said.status is not ReviewStatus.NONE:
        _require_more_than_a_name(identity, senior, case)
    received = Received(
        label.file.read(), label.filename or "label.nii.gz", names, kept_words(told), said
    )
    store = studies()
    store.refresh()
    version = store.workflow.save(case, received, reader, tag=tag)
    return {"image": case, "label": case, "tag": version.tag, "version": version.number}


def _require_more_than_a_name(identity: Identity, senior: Reader | None, case: str) -> None:
    """A name that a client states may save contours, but neither approve nor return them.

    Raises:
        NotAuthenticatedError: there is nothing but a name.
    """
    if not identity.is_proved and senior is None:
        message = (
            f"{case}: to approve or return it, log in, or set --conf loopback_reviewer NAME for "
            "the Reviewer on the server's own machine"
        )
        raise NotAuthenticatedError(message)


def serve_label(
    http: Request, label: Annotated[str, Query()], tag: Annotated[str, Query()] = INITIAL_TAG
) -> FileResponse:
    """The label map under a tag, as a segmentation with its structures' names in it."""
    case, tag = checked_id(label, what="label"), checked_tag(tag)
    reader = identity_of(http).reader
    store = studies()
    version = store.label_version(case, tag, reader)
    path = store.store.path_of(version.file)
    store.remember_served(version, reader)
    return FileResponse(
        path, media_type="application/octet-stream", filename=f"{case}{version.file.ending}"
    )


def check_label(
    http: Request,
    tag: Annotated[str, Query()],
    image: Annotated[str, Query()] = "",
    label: Annotated[str, Query()] = "",
) -> dict[str, Any]:
    """Whether there is a label map under a tag."""
    case = checked_id(image or label, what="label")
    studies().label_version(case, checked_tag(tag), identity_of(http).reader)
    return {}


def withdraw_label(
    http: Request,
    tag: Annotated[str, Query()],
    id: Annotated[str, Query()],  # noqa: A002 (the framework's name)
) -> dict[str, Any]:
    """Takes the label map under a tag out of the clients' sight."""
    case = checked_id(id, what="id")
    reader = identity_of(http).reader
    version = studies().workflow.withdraw(case, checked_tag(tag), reader)
    return {"image": case, "tag": tag, "version": version.number}


def label_info(
    http: Request, label: Annotated[str, Query()], tag: Annotated[str, Query()]
) -> dict[str, Any]:
    """What is known about the label map under a tag."""
    case, tag = checked_id(label, what="label"), checked_tag(tag)
    return studies().get_label_info(case, tag, identity_of(http).reader)


def review_label(
    http: Request,
    label: Annotated[str, Query()],
    tag: Annotated[str, Query()],
    info: Annotated[str, Form()] = "{}",
) -> dict[str, Any]:
    """A senior's word on the version under a tag: ``{"segmentationMeta": {...}}``."""
    return _reviewed(http, label, tag, json_object(info, what="info"))


def review_label_deprecated(
    http: Request,
    label: Annotated[str, Query()],
    tag: Annotated[str, Query()],
    params: Annotated[str, Form()] = "{}",
) -> dict[str, Any]:
    """The same under the address and parameter that the stock Reviewer uses."""
    return _reviewed(http, label, tag, json_object(params, what="params"))


def _reviewed(http: Request, label: str, tag: str, told: Mapping[str, Any]) -> dict[str, Any]:
    case, tag = checked_id(label, what="label"), checked_tag(tag)
    meta = told.get(_META)
    if set(told) != {_META}:
        message = f"{case}: of a label map's info, only {_META} can be changed"
        raise UsageError(message)
    asking = identity_of(http).reader
    reader = reviewer_without_token(http, _approver(meta)) or asking
    store = studies()
    # Without a token, label maps are loaded in the loopback reviewer's name, whoever reviews.
    store.workflow.review(case, tag, review_of(meta), reader, loaded_by=asking)
    return store.get_label_info(case, tag, reader)


def review_of(meta: object) -> Review:
    """A review from the stock Reviewer's record.

    Raises:
        UsageError: it is no such record.
    """
    if not isinstance(meta, Mapping):
        message = f"{_META} must be an object"
        raise UsageError(message)
    texts = {key: meta.get(key) or "" for key in ("status", "level", "comment")}
    for key, text in texts.items():
        if not isinstance(text, str):
            message = f"{_META}.{key}: {str(text)[:40]!r} is no text"
            raise UsageError(message)
    try:
        return Review(
            ReviewStatus(texts["status"]), Level(texts["level"]), texts["comment"].strip()
        )
    except ValueError as error:
        message = f"{_META}: {error}"
        raise UsageError(message) from error


def _approver(meta: object) -> str | None:
    name = meta.get("approvedBy") if isinstance(meta, Mapping) else None
    return name if isinstance(name, str) and name else None


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def kept_words(told: Mapping[str, Any]) -> dict[str, str]:
    """What of a client's free words is kept: as whom it says it works."""
    client_id = told.get("client_id")
    return {"client_id": client_id} if isinstance(client_id, str) else {}
