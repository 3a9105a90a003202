"""Runs infer tasks on cases, one at a time on the device, and keeps their drafts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.errors import NotFoundError, UsageError
from parotid_brachy.lib.infers.options import DRAFT_TAG, parse_options
from parotid_brachy.lib.infers.task import LabelMapTask
from parotid_brachy.lib.review.clinical_facts import facts_of
from parotid_brachy.lib.review.intake import intake_of
from parotid_brachy.lib.review.roles import Reader, Role

_OURS: Final = frozenset({"image", "label", "reader", "recorded_side"})
_SERVER: Final = Reader("server", Role.ANNOTATOR)


class Drafting:
    """Infers label maps for cases of a datastore.

    Args:
        tasks: the infer tasks by name.

    Attributes:
        device: held by whoever uses the device.
    """

    def __init__(self, tasks: Mapping[str, LabelMapTask]) -> None:
        self._tasks = tasks
        self.device = threading.Lock()

    def infer(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Runs one task on one image; keeps the label map as the case's newest draft.

        Args:
            request: ``model``; ``image``, which is a case's id, or a ``Path`` to a file that the
                server itself received; options; ``label``, a ``Path`` to a received label map;
                ``reader``, the :class:`Reader` who asks.
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
        wire = {key: value for key, value in request.items() if key not in _OURS}
        wire["image"] = image if case is None else datastore.get_image_uri(case)
        wire["case"] = case
        asked_by = request.get("reader")
        reader = asked_by if isinstance(asked_by, Reader) else _SERVER
        label = request.get("label")
        if task.shows_contours:
            return self._show(task, case, wire, reader, datastore)
        if isinstance(label, Path):
            wire["label"] = label
        elif task.wants_gland and case is not None:
            wire["label"] = _newest_label(case, datastore, reader)
        wire["recorded_side"] = _recorded_side(case, datastore)
        with self.device:
            draft = task.draft(wire)
        if case is not None and options.save_draft and isinstance(datastore, Studies):
            info = {"model": task.name, "params": draft.told}
            drafted = intake_of(draft.labels, draft.grid, draft.structures, case=case)
            datastore.workflow.keep_draft(case, drafted, reader, info=info)
        file = str(task.answer(draft))
        return {"label": file, "tag": DRAFT_TAG, "file": file, "params": draft.told}

    def _show(
        self,
        task: LabelMapTask,
        case: str | None,
        wire: dict[str, Any],
        reader: Reader,
        datastore: Any,
    ) -> dict[str, Any]:
        """Answers a case's newest label map; it counts as loaded by the reader."""
        version = None
        if case is not None and isinstance(datastore, Studies):
            version = datastore.newest_version(case, reader)
            if version is None:
                message = (
                    f"{case}: there are no contours and no draft yet that {reader.name} could see; "
                    "run two_step first"
                )
                raise NotFoundError(message)
            wire["label"] = datastore.store.path_of(version.file)
        shown = task.draft(wire)
        file = str(task.answer(shown))
        told = dict(shown.told)
        if version is not None:
            datastore.remember_served(version, reader)
            told |= {"tag": version.tag, "version": version.number, "author": version.author}
        return {"label": file, "tag": told.get("tag", DRAFT_TAG), "file": file, "params": told}

    def _task(self, name: object) -> LabelMapTask:
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
    is_known = (
        datastore.has_image(image)
        if isinstance(datastore, Studies)
        else image in datastore.list_images()
    )
    if not is_known:
        message = f"no case {image[:60]!r} in the studies; /datastore/ lists them"
        raise NotFoundError(message)
    return image


def _recorded_side(case: str | None, datastore: Any) -> Side | None:
    """The side that a case's facts state, if there are any."""
    if case is None or not isinstance(datastore, Studies):
        return None
    return facts_of(datastore.store.case(case).image_info).side


def _newest_label(case: str, datastore: Any, reader: Reader) -> str:
    """The label map that was saved last: what a reader made, else what a model did."""
    if isinstance(datastore, Studies):
        found = datastore.newest_label(case, reader)
    else:
        tags = list(datastore.get_labels_by_image_id(case))
        found = str(datastore.get_label_uri(case, tags[-1])) if tags else None
    if found is None:
        message = (
            f"{case}: organs at risk are found from the gland, and the case has no label map yet. "
            "Run parotid_gland or two_step first, or send a label map with the gland in it."
        )
        raise NotFoundError(message)
    return found
