"""MONAI Label's routes for images: adding one, notes on one, and the next one to contour."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, File, Form, Query, Request, UploadFile
from monailabel.interfaces.utils.app import app_instance

from parotid_brachy.lib.datastore.wire_records import offers_of
from parotid_brachy.lib.errors import StoreFullError, UsageError
from parotid_brachy.lib.server.authentication import identity_of, stated_reader
from parotid_brachy.lib.server.label_routes import kept_words, studies
from parotid_brachy.lib.server.named_tasks import check_task
from parotid_brachy.lib.server.uploads import upload_ending, write_upload
from parotid_brachy.lib.server.wire import checked_id, json_object

logger = logging.getLogger(__name__)

_IMAGE_ENDINGS: Final = (".nii.gz", ".nii", ".nrrd", ".mha")
_SERVERS_OWN: Final = frozenset(
    {"consensus", "id", "name", "path", "state", "strategy", "ts", "user", "weight"}
)
"""What clients are told about an image under these names is the server's word, nobody else's."""


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter()
    routes.add_api_route("/datastore/image", add_image, methods=["PUT"], tags=["Datastore"])
    # 3D Slicer's older address for uploads.
    routes.add_api_route("/datastore/", add_image, methods=["PUT"], include_in_schema=False)
    routes.add_api_route("/datastore/image/info", note, methods=["PUT"], tags=["Datastore"])
    routes.add_api_route(
        "/activelearning/{strategy}", next_sample, methods=["POST"], tags=["ActiveLearning"]
    )
    return routes


def add_image(
    http: Request,
    file: Annotated[UploadFile, File()],
    image: Annotated[str, Query()] = "",
    params: Annotated[str, Form()] = "{}",
) -> dict[str, Any]:
    """Adds a CT to the studies; never over another."""
    identity = identity_of(http)
    told = json_object(params, what="params")
    ending = upload_ending(file.filename, _IMAGE_ENDINGS)
    case = checked_id(image or str(file.filename)[: -len(ending)], what="image")
    with tempfile.TemporaryDirectory(prefix="parotid-") as folder:
        path = write_upload(file, Path(folder) / f"image{ending}")
        studies().add_image(case, str(path), {**kept_words(told), "user": identity.reader.name})
    return {"image": case}


def note(
    http: Request, image: Annotated[str, Query()], info: Annotated[str, Form()] = "{}"
) -> dict[str, Any]:
    """Notes something on an image, such as the side of the cancer."""
    case = checked_id(image, what="image")
    told = json_object(info, what="info")
    own = sorted(_SERVERS_OWN & set(told))
    if own:
        message = f"{case}: {', '.join(own)} of an image is the server's own"
        raise UsageError(message)
    store = studies()
    store.update_image_info(case, told)
    logger.info("%s: %s noted %s", case, identity_of(http).reader.name, ", ".join(sorted(told)))
    return store.get_image_info(case)


def next_sample(
    http: Request, strategy: str, params: Annotated[dict[str, Any] | None, Body()] = None
) -> dict[str, Any]:
    """The next case to contour, as the strategy chooses; noted as offered to whom."""
    check_task(strategy, "strategies")
    instance = app_instance()
    told = params or {}
    reader = stated_reader(identity_of(http), told.get("client_id"))
    chosen = instance.next_sample({**told, "strategy": strategy})
    if not chosen:
        return {}
    store = instance.datastore()
    info = store.get_image_info(chosen["id"])
    offered = {"ts": int(time.time()), "client_id": reader.name}
    offers = {**offers_of(info), strategy: offered}
    try:
        store.update_image_info(chosen["id"], {"strategy": offers})
    except StoreFullError as error:
        logger.warning("%s: not noted as offered to %s: %s", chosen["id"], reader.name, error)
    return {**info, **chosen, "strategy": offers}
