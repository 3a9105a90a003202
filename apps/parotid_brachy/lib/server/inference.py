"""The inference route: one case at a time on the device, everyone else served meanwhile."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import anyio.to_thread
from fastapi import BackgroundTasks, File, Form, Query, Request, UploadFile
from monailabel.endpoints.infer import ResultType, send_response
from monailabel.interfaces.utils.app import app_instance

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.infers.contours import ContoursTask
from parotid_brachy.lib.server.authentication import identity_of, stated_reader
from parotid_brachy.lib.server.sessions import session_of
from parotid_brachy.lib.server.uploads import upload_ending, write_upload
from parotid_brachy.lib.server.wire import checked_id, json_object

# What a request is made of is never taken from its free parameters.
_RESERVED: Final = frozenset({"model", "image", "label", "session", "file", "reader"})

_IMAGE_ENDINGS: Final = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha")


def device_queue() -> anyio.CapacityLimiter:
    """A queue with one inference at work.

    Who comes meanwhile waits in order, on the event loop and in no thread.
    """
    return anyio.CapacityLimiter(1)


async def infer(  # noqa: PLR0913, PLR0917 (FastAPI reads the request's parts from these)
    http: Request,
    background_tasks: BackgroundTasks,
    model: str,
    image: Annotated[str, Query()] = "",
    session_id: Annotated[str, Query()] = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    label: Annotated[UploadFile | None, File()] = None,
    output: ResultType | None = None,
) -> Any:
    """Runs a model on a case of the studies, on a session's image or on an uploaded one."""
    if output is ResultType.dicom_seg:
        message = "output dicom_seg is not offered; ask for image, json or all"
        raise UsageError(message)
    options = json_object(params, what="params")
    reader = stated_reader(identity_of(http), options.get("client_id"))

    def work() -> Any:
        return _answer(
            background_tasks,
            {key: value for key, value in options.items() if key not in _RESERVED}
            | {"model": model, "reader": reader},
            image=image,
            session_id=session_id,
            file=file,
            label=label,
            output=output,
        )

    # What a case has already is shown at once; the others wait for their turn on the device.
    queue = None if model == ContoursTask.name else http.app.state.device_queue
    return await anyio.to_thread.run_sync(work, limiter=queue)


def _answer(
    background_tasks: BackgroundTasks,
    request: dict[str, Any],
    *,
    image: str,
    session_id: str,
    file: UploadFile | None,
    label: UploadFile | None,
    output: ResultType | None,
) -> Any:
    instance = app_instance()
    received = Path(tempfile.mkdtemp(prefix="parotid-"))
    try:
        if session_id:
            request["image"] = Path(session_of(session_id).image)
        elif file is not None:
            request["image"] = _kept(file, received / "image")
        else:
            request["image"] = checked_id(image, what="image") if image else ""
        if label is not None:
            request["label"] = _kept(label, received / "label")
        result = instance.infer(request)
    finally:
        shutil.rmtree(received, ignore_errors=True)
    return send_response(instance.datastore(), result, output, background_tasks)


def _kept(upload: UploadFile, folder: Path) -> Path:
    ending = upload_ending(upload.filename, _IMAGE_ENDINGS)
    return write_upload(upload, folder / f"upload{ending}")
