"""Puts a converted series into the studies: first the slices, then, by link, the image.

The image makes the case. An import that is killed leaves no case, or all of it; what it left
half done lies in a folder that the next import clears away.
"""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from parotid_brachy.lib.dicom.case_series import RELATED_FOLDER, CaseSeries
from parotid_brachy.lib.dicom.importing.records import IMAGE_FILE, SERIES_FOLDER, Converted
from parotid_brachy.lib.errors import ConflictError, StoreFullError
from parotid_brachy.lib.imaging.atomic import synchronise_folder
from parotid_brachy.lib.imaging.files import VOLUME_SUFFIXES, case_of
from parotid_brachy.lib.version import project_version

logger = logging.getLogger(__name__)

REPORT_FILE: Final = "import.json"
_LOCK: Final = ".import.lock"
_INCOMING: Final = ".incoming-"
_IMAGE_ENDING: Final = ".nii.gz"
_LARGEST_REPORT_BYTES: Final = 4 * 1024**2


class Landed(enum.Enum):
    """How a series came to be in the studies."""

    NEW = "imported"
    ALREADY = "already there"


class LandingPlace:
    """Where imported cases go.

    Args:
        studies: the folder of studies.
        store_folder: ``.parotid`` within it.
    """

    def __init__(self, studies: Path, store_folder: Path) -> None:
        self._studies = studies
        self.series = CaseSeries(store_folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other imports into these studies out, and clears up after killed ones.

        Raises:
            ConflictError: another import is at work.
            StoreFullError: the folder cannot be written.
        """
        try:
            self.series.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.series.folder / _LOCK, timeout=0)
            lock.acquire()
        except Timeout as error:
            message = f"{self._studies}: another import is at work here; wait until it has ended"
            raise ConflictError(message) from error
        except OSError as error:
            message = f"{self._studies}: cannot be written ({error.strerror})"
            raise StoreFullError(message) from error
        try:
            for left in self.series.folder.glob(f"{_INCOMING}*"):
                logger.info("clearing up after an import that was stopped: %s", left.name)
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A new folder on the studies' file system; gone afterwards, whatever happens.

        Raises:
            StoreFullError: the disk is full or not writable.
        """
        folder = self.series.folder / f"{_INCOMING}{secrets.token_hex(8)}"
        try:
            folder.mkdir(mode=0o700)
            yield folder
        except OSError as error:
            message = f"{self._studies}: nothing was kept ({error.strerror or error})"
            raise StoreFullError(message) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def land(self, incoming: Path, converted: Converted, *, is_deidentified: bool) -> Landed:
        """Puts a series that lies in an incoming folder into the studies.

        Args:
            incoming: of :meth:`incoming`, as ``conversion.convert`` has filled it.
            converted: what it holds.
            is_deidentified: for the report.

        Raises:
            ConflictError: there is another image of that name; nothing was changed.
            OSError: the disk is full or not writable; there is no case, or all of it.
        """
        case, slices = converted.case, incoming / SERIES_FOLDER
        image = self._image_of(case)
        known = self._report_of(case)
        if image is not None and known is None:
            message = (
                f"{case}: there is {image.name} in the studies that was not imported from DICOM; "
                "images are never replaced"
            )
            raise ConflictError(message)
        is_same = known is not None and known.get("voxels_sha256") == converted.voxels_sha256
        if image is not None and not is_same:
            message = (
                f"{case}: a series of the same UID with other slices was imported before; images "
                "are never replaced. Is one of the two incomplete?"
            )
            raise ConflictError(message)
        if self.series.has(case) and not is_same:
            # No image, so no case: an import was stopped here, or an image was taken out.
            os.rename(self.series.folder_of(case), incoming / "replaced")  # noqa: PTH104
        if self.series.has(case):
            for name in converted.related:
                self.series.add_related(case, slices / RELATED_FOLDER / name)
        else:
            report = _report(converted, is_deidentified=is_deidentified)
            (slices / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            self.series.keep(case, slices)
        if image is not None:
            return Landed.ALREADY
        self._show(incoming / IMAGE_FILE, case)
        return Landed.NEW

    def _show(self, image: Path, case: str) -> None:
        """Makes the image appear among the studies, whole and never over another."""
        with image.open("rb") as file:
            os.fsync(file.fileno())
        try:
            os.link(image, self._studies / f"{case}{_IMAGE_ENDING}")
        except FileExistsError as error:
            message = f"{case}: there is an image of that id; images are never replaced"
            raise ConflictError(message) from error
        synchronise_folder(self._studies)

    def _image_of(self, case: str) -> Path | None:
        """A case's image, of whatever format."""
        with os.scandir(self._studies) as entries:
            for entry in entries:
                path = Path(entry.path)
                if path.name.lower().endswith(VOLUME_SUFFIXES) and case_of(path) == case:
                    return path
        return None

    def _report_of(self, case: str) -> dict[str, Any] | None:
        """What was noted when a case was imported; None: it was not, or never to its end."""
        path = self.series.folder_of(case) / REPORT_FILE
        try:
            if path.stat().st_size > _LARGEST_REPORT_BYTES:
                return None
            report = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return report if isinstance(report, dict) else None


def _report(converted: Converted, *, is_deidentified: bool) -> Mapping[str, Any]:
    """What is noted about an import; of a de-identified one, nothing that tells the patient."""
    grid = converted.grid
    return {
        "case": converted.case,
        "series_uid": converted.series_uid,
        "deidentified": is_deidentified,
        "imported": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "program": f"parotid-brachy {project_version()}",
        "slices": converted.slice_count,
        "grid": {
            "size_ijk": grid.size_ijk,
            "spacing_mm": grid.spacing_mm,
            "origin_lps_mm": grid.origin_lps_mm,
            "direction": grid.direction,
        },
        "voxels_sha256": converted.voxels_sha256,
        "related": converted.related,
        "related_left_out": dict(converted.related_left_out),
        "deidentification": converted.deidentification,
        "defacing": converted.defacing,
    }
