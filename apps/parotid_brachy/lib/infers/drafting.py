"""Runs infer tasks on cases, one at a time on the device, and keeps their drafts."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from parotid_brachy.lib.errors import NotFoundError, UsageError
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.volume import Grid
from parotid_brachy.lib.infers.options import DRAFT_TAG, Ending, parse_options
from parotid_brachy.lib.infers.task import SegmentationTask

logger = logging.getLogger(__name__)

# Which label version organs at risk are found from: what a reader made, else what a model did.
_GLAND_TAGS = ("final", DRAFT_TAG)


class Drafting:
    """Infers label maps for cases of a datastore.

    Args:
        tasks: the infer tasks by name.
    """

    def __init__(self, tasks: Mapping[str, SegmentationTask]) -> None:
        self._tasks = tasks
        self._device = threading.Lock()

    def infer(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Runs one task on one image; keeps the label map as the case's newest draft.

        Args:
            request: ``model``; ``image``, which is a case's id, or a ``Path`` to a file that the
                server itself received; options; ``label``, a ``Path`` to a received label map.
            datastore: MONAI Label's datastore, which knows the cases.

        Returns:
            What the framework's infer returns: label, tag, file, params.

        Raises:
            NotFoundError: no such task, case or model version.
            ParotidBrachyError: an option, the image, the gland or a model is refused.
        """
        task = self._task(request.get("model"))
        options = parse_options(request)
        image = request.get("image")
        case = None if isinstance(image, Path) else _known_case(image, datastore)
        wire = {key: value for key, value in request.items() if key not in ("image", "label")}
        wire["image"] = image if case is None else datastore.get_image_uri(case)
        wire["case"] = case
        label = request.get("label")
        if isinstance(label, Path):
            wire["label"] = label
        elif task.wants_gland and case is not None:
            wire["label"] = _newest_label(case, datastore)
        with self._device:
            file, params = task(wire)
        label_id = file
        if case is not None and options.save_draft:
            info = {"model": task.name, "params": params}
            try:
                label_id = _keep_draft(case, Path(file), datastore, info)
            except BaseException:
                Path(file).unlink(missing_ok=True)  # nobody will come for it
                raise
        return {"label": label_id, "tag": DRAFT_TAG, "file": file, "params": params}

    def _task(self, name: object) -> SegmentationTask:
        task = self._tasks.get(name) if isinstance(name, str) else None
        if task is None:
            message = f"no model {str(name)[:60]!r}; there are: {', '.join(self._tasks)}"
            raise NotFoundError(message)
        return task


def _known_case(image: object, datastore: Any) -> str:
    """The id of a case that the datastore lists; anything else is refused, paths above all."""
    if not isinstance(image, str) or not image:
        message = "the request names no image: give the id of a case, or upload a file"
        raise UsageError(message)
    if image not in datastore.list_images():
        message = f"no case {image[:60]!r} in the studies; /datastore/ lists them"
        raise NotFoundError(message)
    return image


def _newest_label(case: str, datastore: Any) -> str:
    tags = datastore.get_labels_by_image_id(case)
    for tag in _GLAND_TAGS:
        if tag in tags:
            return str(datastore.get_label_uri(case, tag))
    message = (
        f"{case}: organs at risk are found from the gland, and the case has no label map yet. "
        "Run parotid_gland or two_step first, or send a label map with the gland in it."
    )
    raise NotFoundError(message)


def _keep_draft(case: str, file: Path, datastore: Any, info: dict[str, Any]) -> str:
    """Saves the label map under the drafts' tag, always as NIfTI: one file for a case and tag."""
    ending = Ending.NIFTI_GZ.value
    if file.name.endswith(ending):
        return str(datastore.save_label(case, str(file), DRAFT_TAG, info))
    with tempfile.TemporaryDirectory(prefix="parotid-") as folder:
        nifti = Path(folder) / f"draft{ending}"
        labels = sitk.ReadImage(str(file))
        write_label_map(nifti, sitk.GetArrayFromImage(labels), Grid.of(labels))
        return str(datastore.save_label(case, str(nifti), DRAFT_TAG, info))
