"""``/session/``: an image that is not among the studies, kept for a while under a random id."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Query, UploadFile
from fastapi.responses import FileResponse
from monailabel.interfaces.utils.app import app_instance

from parotid_brachy.lib.errors import NotFoundError, UsageError
from parotid_brachy.lib.imaging.files import read_header
from parotid_brachy.lib.imaging.limits import CT_LIMITS
from parotid_brachy.lib.server.uploads import upload_ending, write_upload
from parotid_brachy.lib.server.wire import checked_session_id

_ENDINGS: Final = (".nii.gz", ".nii", ".nrrd", ".mha", ".dcm")
_SLICE: Final = ".dcm"
_MOST_FILES: Final = 1000
_LONGEST_S: Final = 31 * 24 * 3600


def router() -> APIRouter:
    """The routes below ``/session``, as the framework's clients call them."""
    routes = APIRouter(prefix="/session", tags=["Session"])
    routes.add_api_route("/", create, methods=["PUT"], summary="Create a session of an image")
    routes.add_api_route(
        "/{session_id}", show, methods=["GET"], response_model=None, summary="A session"
    )
    routes.add_api_route("/{session_id}", remove, methods=["DELETE"], summary="End a session")
    return routes


def create(
    files: Annotated[list[UploadFile], File()],
    uncompress: Annotated[bool, Query()] = False,
    expiry: Annotated[int, Query(ge=0, le=_LONGEST_S)] = 0,
) -> dict[str, Any]:
    """Keeps an image file, or the slices of a DICOM series, for a while."""
    if uncompress:
        message = "archives are not unpacked here: send the image itself, or the series' slices"
        raise UsageError(message)
    endings = [upload_ending(file.filename, _ENDINGS) for file in files]
    if len(files) > 1 and (set(endings) != {_SLICE} or len(files) > _MOST_FILES):
        message = f"send one image, or up to {_MOST_FILES} {_SLICE} files of a series"
        raise UsageError(message)
    sessions = _sessions()
    received = Path(tempfile.mkdtemp(prefix="parotid-"))
    try:
        folder = received / "image"
        for number, (file, ending) in enumerate(zip(files, endings, strict=True)):
            path = write_upload(file, folder / f"image-{number}{ending}")
            if ending != _SLICE:
                read_header(path, CT_LIMITS)  # what is no image is not kept
        image = folder if len(files) > 1 else folder / f"image-0{endings[0]}"
        # The framework's own ids tell when and where they were made, and can be guessed.
        session_id, session = sessions.add_session(
            str(image), expiry, uncompress=False, session_id=str(uuid.uuid4())
        )
    finally:
        shutil.rmtree(received, ignore_errors=True)
    return {"session_id": session_id, "session_info": session.to_json()}


def show(session_id: str, update_ts: bool = False, image: bool = False) -> Any:
    """What a session holds; with ``image``, the image itself."""
    session = session_of(session_id, update_ts=update_ts)
    if not image:
        return session.to_json()
    path = Path(session.image)
    if not path.is_file():
        message = f"session {session_id}: its image is a series of files; there is no one file"
        raise NotFoundError(message)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


def remove(session_id: str) -> dict[str, Any]:
    """Ends a session and removes its image."""
    session = session_of(session_id)
    _sessions().remove_session(session_id)
    told: dict[str, Any] = session.to_json()
    return told


def session_of(session_id: str, *, update_ts: bool = False) -> Any:
    """A session by its id.

    Raises:
        UsageError: it is no id.
        NotFoundError: there is no such session any more, or there are none on this server.
    """
    checked_session_id(session_id)
    session = _sessions().get_session(session_id, update_ts=update_ts)
    if session is None:
        message = f"session {session_id} is unknown or has expired: upload the image again"
        raise NotFoundError(message)
    return session


def _sessions() -> Any:
    sessions = app_instance().sessions()
    if sessions is None:
        message = "sessions are turned off on this server (MONAI_LABEL_SESSIONS)"
        raise NotFoundError(message)
    return sessions
