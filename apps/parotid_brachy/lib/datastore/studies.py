"""A folder of studies as MONAI Label's datastore: images in place, labels in the version store.

The framework and its clients see tags and dictionaries; what may be done, and what is kept, is the
core's business.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from monailabel.interfaces.datastore import Datastore

from parotid_brachy.lib.active_learning.score_folder import ScoreFolder
from parotid_brachy.lib.case_dose.case_doses import CaseDoses
from parotid_brachy.lib.datastore.wire_records import (
    image_record,
    label_record,
    object_record,
    offers_of,
)
from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.errors import (
    ConflictError,
    NotFoundError,
    StoreFullError,
    TooLargeError,
    UsageError,
)
from parotid_brachy.lib.review.consensus_set import ConsensusSet
from parotid_brachy.lib.review.next_case import TO_CONTOUR, CaseOrder, Offer, next_case
from parotid_brachy.lib.review.quarantine import Quarantine
from parotid_brachy.lib.review.records import INITIAL_TAG, STORE_FOLDER, CaseFilter, Kind, Version
from parotid_brachy.lib.review.roles import Reader, Role, checked_reader_name
from parotid_brachy.lib.review.states import CaseState, ReviewPolicy
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.review.study_images import StudyImages
from parotid_brachy.lib.review.workflow import Received, Workflow

logger = logging.getLogger(__name__)

_FRAMEWORKS_LIST: Final = "datastore_v2.json"
_CONTOURED: Final = tuple(state for state in CaseState if state not in TO_CONTOUR)
_CANDIDATES: Final = 4
_LONGEST_INFO: Final = 16_384


class Studies(Datastore):
    """The cases of one folder.

    Args:
        folder: of the studies.
        database_url: of a PostgreSQL database for the store's rows; None: SQLite in the folder.
        policy: what the team has agreed on.
        images: of the cases, where they are not simply the folder's files.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        database_url: str | None = None,
        policy: ReviewPolicy | None = None,
        images: StudyImages | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.images = images or StudyImages(self.folder)
        own = self.folder / STORE_FOLDER
        self.store = VersionStore.open(own, database_url=database_url)
        self.workflow = Workflow(
            self.store, self.images, Quarantine(own / "quarantine"), policy or ReviewPolicy()
        )
        self.consensus = ConsensusSet(self.store, self.images)
        self.scores = ScoreFolder(own / "scores")
        self.doses = CaseDoses(self.store, self.images, CaseSeries(own))
        self._registered: Mapping[str, str] | None = None
        self.refresh()
        if (self.folder / _FRAMEWORKS_LIST).exists() and self.store.journal_length() <= 1:
            logger.warning(
                "%s: has contours that MONAI Label kept; take them over with "
                "parotid store import --studies '%s' (they stay untouched until then)",
                self.folder,
                self.folder,
            )

    def refresh(self) -> None:
        """Takes notice of images that came or went."""
        files = self.images.files()
        if files is not self._registered:
            self.store.register(files, notes=self._notes_on(files))
            self._registered = files

    def _notes_on(self, files: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """What is noted about the images of cases that are new, by case."""
        del files
        return {}

    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def set_name(self, name: str) -> None:
        """Refused: a folder is named by whoever keeps it."""
        message = f"{name[:60]!r}: the datastore is called by its folder"
        raise UsageError(message)

    def description(self) -> str:
        """What it is."""
        return "Studies with versioned contours of two readers"

    def set_description(self, description: str) -> None:
        """Refused, as :meth:`set_name`."""
        self.set_name(description)

    def list_images(self) -> list[str]:
        """The ids of all cases."""
        self.refresh()
        return list(self.images.files())

    def has_image(self, image_id: str) -> bool:
        """Whether there is such a case; quicker than the whole list."""
        self.refresh()
        return image_id in self.images.files()

    def get_image_uri(self, image_id: str) -> str:
        """Where a case's image is.

        Raises:
            NotFoundError: there is no such case.
        """
        return str(self.images.path_of(image_id))

    def get_image(self, image_id: str, params: Any = None) -> io.BytesIO:
        """A case's image as bytes."""
        del params
        return io.BytesIO(self.images.path_of(image_id).read_bytes())

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is noted about a case's image."""
        self.refresh()
        path = self.images.place_of(image_id)
        return {**image_record(self.store.case(image_id))["info"], "path": str(path)}

    def update_image_info(self, image_id: str, info: Mapping[str, Any]) -> None:
        """Notes more about a case's image.

        Raises:
            NotFoundError: there is no such case.
            TooLargeError: these are no notes any more.
        """
        self.refresh()
        if len(json.dumps(dict(info))) > _LONGEST_INFO:
            message = f"{image_id}: notes on an image have up to {_LONGEST_INFO} characters"
            raise TooLargeError(message)
        self.store.keep_image_info(image_id, info)

    def add_image(self, image_id: str, image_filename: str, image_info: Mapping[str, Any]) -> str:
        """Puts an image into the folder; see :meth:`StudyImages.add`.

        Raises:
            ConflictError: also where an image of that id was taken out, and its contours are kept.
        """
        self.refresh()
        with contextlib.suppress(NotFoundError):
            if self.store.versions(image_id):
                message = (
                    f"{image_id}: contours of an image of that id are kept; images are never "
                    "replaced, give the new one another id"
                )
                raise ConflictError(message)
        received = Path(image_filename)
        ending = "".join(received.suffixes[-2:]) if received.name.endswith(".gz") else None
        self.images.add(image_id, received, ending or received.suffix)
        self.refresh()
        if image_info:
            self.store.keep_image_info(image_id, image_info)
        return image_id

    def remove_image(self, image_id: str) -> None:
        """Takes a case out of the studies; image and versions are kept aside."""
        self.images.set_aside(image_id)
        self.refresh()

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """``{tag: image id}`` of a case's current label maps."""
        self.refresh()
        return dict.fromkeys(self._overview(image_id).versions, image_id)

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """The id of a case's label map under a tag, which is the case's; empty without one."""
        return self.get_labels_by_image_id(image_id).get(tag, "")

    def label_version(self, case: str, tag: str, reader: Reader | None = None) -> Version:
        """The version that a reader sees under a tag.

        In a consensus case everybody sees his or her own contours only.

        Raises:
            NotFoundError: no such case, or nothing under the tag.
        """
        self.refresh()
        version = self.store.tagged(case, tag)
        if tag == INITIAL_TAG and self.store.case(case).is_consensus:
            version = None if reader is None else self.consensus.newest(case).get(reader.name)
        if version is None:
            message = f"{case}: there is no label map under {tag[:60]!r}"
            raise NotFoundError(message)
        return version

    def newest_version(self, case: str, reader: Reader) -> Version | None:
        """The version that a reader sees and that was saved last; drafts come last."""
        self.refresh()
        seen = []
        for tag in self._overview(case).versions:
            with contextlib.suppress(NotFoundError):  # another's contours of a consensus case
                seen.append(self.label_version(case, tag, reader))
        seen.sort(key=lambda version: (version.kind is not Kind.DRAFT, version.number))
        return seen[-1] if seen else None

    def newest_label(self, case: str, reader: Reader) -> str | None:
        """Where the label map of :meth:`newest_version` is."""
        version = self.newest_version(case, reader)
        return None if version is None else str(self.store.path_of(version.file))

    def remember_served(self, version: Version, reader: Reader) -> None:
        """Remembers what a reader saw last; a full disk does not keep anybody from seeing it.

        An older memory that stays makes a later approval ask to load the contours again.
        """
        try:
            self.store.note_served(version.case, version.tag, reader.name, version.number)
        except StoreFullError as error:
            logger.warning(
                "%s: not remembered that %s saw it: %s", version.case, reader.name, error
            )

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Where the label map under a tag is."""
        return str(self.store.path_of(self.label_version(label_id, label_tag).file))

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> io.BytesIO:
        """The label map under a tag as bytes."""
        del params
        return io.BytesIO(Path(self.get_label_uri(label_id, label_tag)).read_bytes())

    def get_label_info(
        self, label_id: str, label_tag: str, reader: Reader | None = None
    ) -> dict[str, Any]:
        """What is known about the label map that a reader sees under a tag."""
        version = self.label_version(label_id, label_tag, reader)
        notes = [n for n in self.store.notes(label_id) if n.version == version.number]
        info: dict[str, Any] = label_record(version, notes[-1] if notes else None)["info"]
        return info

    def update_label_info(self, label_id: str, label_tag: str, info: Mapping[str, Any]) -> None:
        """Refused: a review says whose it is (``Workflow.review``)."""
        del info
        message = f"{label_id}: {label_tag[:60]!r} is immutable; a review is a reader's"
        raise UsageError(message)

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: Mapping[str, Any]
    ) -> str:
        """Keeps a label map as an annotator's, called by ``client_id``; returns the case's id.

        The server's own routes know who is asking, and call ``Workflow.save``.
        """
        reader = Reader(
            checked_reader_name(str(label_info.get("client_id") or "somebody")), Role.ANNOTATOR
        )
        self.refresh()
        path = Path(label_filename)
        info = {key: value for key, value in label_info.items() if key != "label_info"}
        received = Received(path.read_bytes(), path.name, label_info.get("label_info"), info)
        self.workflow.save(image_id, received, reader, tag=label_tag)
        return image_id

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Refused, as :meth:`update_label_info` (``Workflow.withdraw``)."""
        self.update_label_info(label_id, label_tag, {})

    def get_labeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Cases that reader 1 has handed over, or that have a label map under the tag."""
        del labels
        self.refresh()
        if label_tag and label_tag != INITIAL_TAG:
            return [o.case.id for o in self.store.overview() if label_tag in o.versions]
        return self._in_states(_CONTOURED)

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Cases that wait for reader 1."""
        del label_tag, labels
        self.refresh()
        return self._in_states(TO_CONTOUR)

    def next_to_contour(self, strategy: str) -> str | None:
        """A case by chance that waits for reader 1, rather one that was not offered lately."""
        self.refresh()
        drawn = {self.store.random_case(TO_CONTOUR) for _ in range(_CANDIDATES)} - {None}
        return min(drawn, key=lambda case: self._offered(str(case), strategy), default=None)

    def next_in_order(self, order: CaseOrder) -> Offer | None:
        """The case that comes first in an order; None: none waits."""
        self.refresh()
        return next_case(self.store.overview(), order)

    def datalist(self) -> list[dict[str, Any]]:
        """What may be trained on: images with their approved contours, and no others."""
        return [{"image": str(image), "label": str(label)} for _, image, label in self._approved()]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """A ZIP archive of images and approved contours; the caller removes it.

        Raises:
            NotFoundError: nothing is approved yet.
        """
        approved = self._approved()[: limit_cases or None]
        if not approved:
            message = "no case is approved yet: there is nothing to download"
            raise NotFoundError(message)
        with tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as file:
            with zipfile.ZipFile(file, "w") as archive:
                for case, image, label in approved:
                    archive.write(image, f"image/{image.name}")
                    archive.write(label, f"label/{case}.seg.nrrd")
            return file.name

    def _approved(self) -> list[tuple[str, Path, Path]]:
        """Each approved case with its image and its approved label map."""
        self.refresh()
        found = []
        for case in self.store.cases(CaseFilter(states=(CaseState.APPROVED,))).items:
            if case.approved_version is not None:
                version = self.store.version(case.id, case.approved_version)
                label = self.store.path_of(version.file)
                found.append((case.id, self.images.path_of(case.id), label))
        return found

    def status(self) -> dict[str, Any]:
        """Counts: cases, those handed over, and label maps by tag."""
        self.refresh()
        counts = self.store.counts()
        done = sum(n for state, n in counts.by_state.items() if state in _CONTOURED)
        return {
            "total": sum(counts.by_state.values()),
            "completed": done,
            "label_tags": dict(counts.by_tag),
            "states": {state.value: n for state, n in counts.by_state.items()},
        }

    def json(self) -> dict[str, Any]:
        """Everything, in the words of the stock clients."""
        self.refresh()
        return {
            "name": self.name(),
            "description": self.description(),
            "images_dir": ".",
            "labels_dir": "labels",
            "objects": {o.case.id: object_record(o) for o in self.store.overview()},
        }

    def _overview(self, case: str) -> Any:
        for overview in self.store.overview(case):
            return overview
        message = f"no case {case[:60]!r} in the studies; /datastore/ lists them"
        raise NotFoundError(message)

    def _in_states(self, states: tuple[CaseState, ...]) -> list[str]:
        only = CaseFilter(states=states, is_consensus=False)
        return [case.id for case in self.store.cases(only).items]

    def _offered(self, case: str, strategy: str) -> int:
        offer = offers_of(self.store.case(case).image_info).get(strategy, {})
        offered_at = offer.get("ts")
        return offered_at if isinstance(offered_at, int) else 0
