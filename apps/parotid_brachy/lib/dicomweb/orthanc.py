"""Taking back what was sent to an Orthanc: DICOMweb itself has no way to remove an object."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final

import httpx

from parotid_brachy.lib.dicomweb.access import (
    ArchiveAccess,
    ArchiveError,
    ArchiveUnreachableError,
)
from parotid_brachy.lib.dicomweb.archive import Archive

logger = logging.getLogger(__name__)

_GONE: Final = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND})


class RemovingArchive(Archive):
    """An archive that removes series of ours where it is an Orthanc.

    Other archives keep what was superseded; the newer object's date tells which one counts.
    """

    def remove_series(self, series_uid: str) -> bool:
        """Removes a series.

        Args:
            series_uid: of a series that this server has made and sent, and never another.

        Returns:
            Whether the archive has none of that UID now; False: it is none that can remove.

        Raises:
            ArchiveError, ArchiveUnreachableError: it did not do it now.
        """
        base = _base_of(self.access)
        if base is None:
            return False
        try:
            with self._client() as client:
                if not self._is_orthanc(client, base):
                    return False
                found = client.post(
                    f"{base}/tools/lookup",
                    content=series_uid.encode(),
                    headers=dict(self.access.headers()),
                )
                ids = [one["ID"] for one in _list(found) if one.get("Type") == "Series"]
                for one in ids:
                    removed = client.delete(
                        f"{base}/series/{one}", headers=dict(self.access.headers())
                    )
                    if removed.status_code not in _GONE:
                        message = f"the archive answers {removed.status_code} and keeps a series"
                        raise ArchiveError(message)
        except httpx.HTTPError as error:
            message = f"the DICOMweb archive cannot be reached ({type(error).__name__})"
            raise ArchiveUnreachableError(message) from error
        return True

    def _is_orthanc(self, client: httpx.Client, base: str) -> bool:
        answer = client.get(f"{base}/system", headers=dict(self.access.headers()))
        try:
            told = answer.json() if answer.is_success else None
        except ValueError:
            return False
        return isinstance(told, dict) and "DicomAet" in told and "ApiVersion" in told


def _base_of(access: ArchiveAccess) -> str | None:
    """Where an Orthanc's own API is: beside its DICOMweb root."""
    url = httpx.URL(access.root)
    path, _, last = url.path.rstrip("/").rpartition("/")
    return str(url.copy_with(path=path or "/")).rstrip("/") if last else None


def _list(answer: httpx.Response) -> list[dict[str, Any]]:
    if not answer.is_success:
        message = f"the archive answers {answer.status_code} when it is asked for a series"
        raise ArchiveError(message)
    told = answer.json()
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
