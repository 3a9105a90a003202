"""``/review/outbox``: how far approved contours have come on their way to the archive."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from monailabel.interfaces.utils.app import app_instance

from parotid_brachy.lib.datastore.approved_sending import ApprovedSending, Sending


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/review", tags=["Review"])
    routes.add_api_route("/outbox", outbox, methods=["GET"], summary="Approved contours sent")
    return routes


def outbox() -> dict[str, Any]:
    """All approved contours of an archive's cases with what became of them."""
    sending: ApprovedSending | None = getattr(app_instance(), "sending", None)
    if sending is None:
        return {"is_on": False, "items": []}
    return {"is_on": True, "items": [_told(one) for one in sending.sendings()]}


def _told(one: Sending) -> dict[str, Any]:
    item = one.item
    return {
        "case": one.case,
        "version": one.version,
        "state": one.state.value,
        "message": one.message,
        "sent_at": item.sent_at if item else None,
        "superseded_at": item.superseded_at if item else None,
        "is_removed": item.is_removed if item else False,
        "objects": {o.file: o.uid for o in item.objects} if item else {},
    }
