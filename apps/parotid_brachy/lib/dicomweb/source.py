"""Series of an archive as a source of an import: ``https://host/dicom-web?PatientID=4711``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.dicomweb.access import ArchiveAccess
from parotid_brachy.lib.dicomweb.archive import Archive
from parotid_brachy.lib.dicomweb.archive_series import is_uid
from parotid_brachy.lib.errors import InputRefusedError, UsageError
from parotid_brachy.lib.imaging.limits import CT_LIMITS

TAKEN: Final = ("CT", "RTSTRUCT", "RTPLAN", "RTDOSE")
"""Modalities that an import has a use for."""
_BELOW: Final = re.compile(r"(?P<root>.*)/studies/(?P<study>[^/]+)(?:/series/(?P<series>[^/]+))?/?")
_ATTRIBUTE: Final = re.compile(r"[A-Za-z]{2,64}|[0-9A-Fa-f]{8}")


class DicomwebSource:
    """What a search in an archive finds, fetched into the import's private folder.

    Args:
        address: of the archive's DICOMweb services, with the search behind ``?`` in the words of
            QIDO-RS, or of one study or series in it (``.../studies/UID/series/UID``).
        limits: of the import.
        credentials: name and password; None: without.

    Raises:
        UsageError: the address has no search in it, or a password.
    """

    def __init__(
        self, address: str, limits: ImportLimits, *, credentials: tuple[str, str] | None = None
    ) -> None:
        parts = urlsplit(address)
        if parts.username is not None:
            message = (
                "an address with a name or password in it is seen by everybody on this machine; "
                "set MONAI_LABEL_DICOMWEB_USERNAME and MONAI_LABEL_DICOMWEB_PASSWORD"
            )
            raise UsageError(message)
        search = dict(parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path.rstrip("/")
        if below := _BELOW.fullmatch(path):
            path = below["root"]
            search["StudyInstanceUID"] = below["study"]
            if below["series"]:
                search["SeriesInstanceUID"] = below["series"]
        self.name = f"archive {parts.netloc}"
        _require_search(search, self.name)
        root = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        bounds = replace(CT_LIMITS, slice_file_bytes=limits.file_bytes, slices=limits.files)
        access = ArchiveAccess(root=root, credentials=credentials, search=search)
        self._archive = Archive(access, bounds)
        self._limits = limits

    def files(self, private: Path) -> Iterator[Path]:
        """Each object's file; see the import's sources.

        Raises:
            ArchiveError, ArchiveUnreachableError: the archive does not give them.
            InputRefusedError: nothing was found, or more than the limits allow.
        """
        found = [one for one in self._archive.series() if one.modality in TAKEN]
        if not found:
            message = f"{self.name}: the search finds no series of CT. Is it right?"
            raise InputRefusedError(message)
        count = 0
        for number, series in enumerate(found):
            folder = private / f"{number:05d}"
            self._archive.download(series, folder)
            for path in sorted(folder.iterdir()):
                count += 1
                if count > self._limits.files:
                    message = f"{self.name}: more than {self._limits.files} objects. Search closer."
                    raise InputRefusedError(message)
                yield path


def _require_search(search: dict[str, str], name: str) -> None:
    """Refuses to fetch a whole archive, and what is no search.

    Raises:
        UsageError: with an example.
    """
    if not any(search.values()):
        message = (
            f"{name}: say which series, as in https://host/dicom-web?PatientID=4711 or "
            "https://host/dicom-web/studies/UID"
        )
        raise UsageError(message)
    for attribute, value in search.items():
        is_wrong_uid = attribute.endswith("InstanceUID") and not all(map(is_uid, value.split(",")))
        if not _ATTRIBUTE.fullmatch(attribute) or is_wrong_uid:
            message = f"{name}: {attribute[:40]!r}, {value[:70]!r} is no attribute to search for"
            raise UsageError(message)
