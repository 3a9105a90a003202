"""An archive over DICOMweb (PS3.18): QIDO-RS finds, WADO-RS fetches, STOW-RS sends."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
from requests_toolbelt import MultipartDecoder
from requests_toolbelt.multipart.decoder import (
    ImproperBodyPartContentException,
    NonMultipartContentTypeException,
)

from parotid_brachy.lib.dicomweb.access import (
    ArchiveAccess,
    ArchiveError,
    ArchiveUnreachableError,
    NotInArchiveError,
)
from parotid_brachy.lib.dicomweb.archive_series import (
    INCLUDED,
    ArchiveSeries,
    instance_uid,
)
from parotid_brachy.lib.imaging.limits import CT_LIMITS, FileLimits

logger = logging.getLogger(__name__)

_JSON: Final = "application/dicom+json"
_DICOM: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PAGE: Final = 500
_MOST_SERIES: Final = 100_000
_LARGEST_LIST: Final = 64 * 2**20
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_NOT_THERE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_LATER: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

OnSlice = Callable[[int, int], None]
"""Told after each slice: how many have been fetched, of how many."""


def _nobody(done: int, total: int) -> None:
    del done, total


class Archive:
    """A client of one archive. Safe for threads.

    Args:
        access: how it is reached.
        limits: of what is fetched from it.
    """

    def __init__(self, access: ArchiveAccess, limits: FileLimits = CT_LIMITS) -> None:
        self.access = access
        self._limits = limits

    @property
    def url(self) -> str:
        """Its address."""
        return self.access.root

    def series(self) -> list[ArchiveSeries]:
        """All series that the access's search finds.

        Raises:
            ArchiveError, ArchiveUnreachableError: the archive does not tell.
        """
        found: dict[str, ArchiveSeries] = {}
        url = self.access.url(self.access.qido_prefix, "series")
        for told in self._listed(url, {**self.access.search, "includefield": INCLUDED}):
            one = ArchiveSeries.of_dicom_json(told)
            if one is None:
                logger.warning("DICOMweb archive: a series without valid UIDs is left out")
            else:
                found.setdefault(one.uid, one)
        return list(found.values())

    def instances(self, series: ArchiveSeries) -> list[str]:
        """The SOP Instance UIDs of a series.

        Raises:
            ArchiveError, ArchiveUnreachableError: the archive does not tell.
        """
        return self._instances(series.study_uid, series.uid)

    def has_instance(self, study_uid: str, series_uid: str, uid: str) -> bool:
        """Whether the archive keeps an object.

        Raises:
            ArchiveError, ArchiveUnreachableError: the archive does not tell.
        """
        try:
            return uid in self._instances(study_uid, series_uid)
        except NotInArchiveError:
            return False

    def download(self, series: ArchiveSeries, folder: Path, on_slice: OnSlice = _nobody) -> None:
        """Fetches the objects of a series, each into a file of its own.

        Args:
            series: which.
            folder: of the files; it is made.
            on_slice: told after each.

        Raises:
            ArchiveError: one is too large, there are too many, or the archive refuses.
            ArchiveUnreachableError: the archive does not answer, or not any more.
        """
        uids = self.instances(series)
        if not uids:
            message = f"{series.uid}: the archive has no images of this series any more"
            raise ArchiveError(message)
        if len(uids) > self._limits.slices:
            message = f"{series.uid}: {len(uids)} objects; at most {self._limits.slices} are read"
            raise ArchiveError(message)
        folder.mkdir(parents=True, exist_ok=True)
        left = self._limits.voxel_bytes
        with self._client() as client:
            for number, uid in enumerate(uids):
                content = self._object(client, series, uid, most=left)
                left -= len(content)
                (folder / f"{number:05d}.dcm").write_bytes(content)
                on_slice(number + 1, len(uids))

    def send(self, study_uid: str, objects: Sequence[bytes]) -> None:
        """Sends objects of one study; what the archive has already, it may keep as it is.

        Args:
            study_uid: of all of them.
            objects: DICOM files.

        Raises:
            ArchiveError: the archive refuses one of them.
            ArchiveUnreachableError: the archive does not answer; whether it has taken them is not
                known.
        """
        boundary = secrets.token_hex(16)
        opening = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = b"".join(opening + one + b"\r\n" for one in objects) + f"--{boundary}--".encode()
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        url = self.access.url(self.access.stow_prefix, "studies", study_uid)
        headers = {"Content-Type": kind, "Accept": _JSON}
        with self._client() as client, self._answer(client, "POST", url, headers, body) as answer:
            told = _json(_body(answer, _LARGEST_LIST))
        failed = told.get("00081198", {}).get("Value") if isinstance(told, Mapping) else None
        if failed:
            message = f"the archive did not take {len(failed)} of {len(objects)} objects"
            raise ArchiveError(message)

    def _instances(self, study_uid: str, series_uid: str) -> list[str]:
        parts = ("studies", study_uid, "series", series_uid, "instances")
        url = self.access.url(self.access.qido_prefix, *parts)
        uids = (instance_uid(told) for told in self._listed(url, {}))
        return list(dict.fromkeys(uid for uid in uids if uid is not None))

    def _listed(self, url: str, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """All elements of a search's answer, page by page."""
        seen = 0
        last: list[Any] = []
        with self._client() as client:
            while seen < _MOST_SERIES:
                page = self._page(client, url, {**query, "limit": _PAGE, "offset": seen})
                if page == last:  # it knows no offset: the same again
                    return
                yield from (told for told in page if isinstance(told, Mapping))
                seen += len(page)
                last = page
                if len(page) < _PAGE:
                    return
        logger.warning("DICOMweb archive: more than %d matches; the rest is left out", _MOST_SERIES)

    def _page(self, client: httpx.Client, url: str, query: Mapping[str, Any]) -> list[Any]:
        request = str(httpx.URL(url, params=query))
        with self._answer(client, "GET", request, {"Accept": _JSON}) as answer:
            if answer.status_code == HTTPStatus.NO_CONTENT:
                return []
            told = _json(_body(answer, _LARGEST_LIST))
        if not isinstance(told, list):
            message = "the archive's answer to a search is no list: is its address right?"
            raise ArchiveError(message)
        return told

    def _object(self, client: httpx.Client, series: ArchiveSeries, uid: str, *, most: int) -> bytes:
        parts = ("studies", series.study_uid, "series", series.uid, "instances", uid)
        url = self.access.url(self.access.wado_prefix, *parts)
        limit = min(most, self._limits.slice_file_bytes)
        with self._answer(client, "GET", url, {"Accept": _DICOM}) as answer:
            kind = answer.headers.get("content-type", "")
            content = _body(answer, limit)
        try:
            objects = [part.content for part in MultipartDecoder(content, kind).parts]
        # Without a boundary the decoder lacks an attribute.
        except (
            ImproperBodyPartContentException,
            NonMultipartContentTypeException,
            AttributeError,
        ) as error:
            message = f"{uid}: the archive's answer is no DICOM object ({kind[:60]!r})"
            raise ArchiveError(message) from error
        if len(objects) != 1:
            message = f"{uid}: the archive answers {len(objects)} objects for one"
            raise ArchiveError(message)
        found: bytes = objects[0]
        return found

    def _client(self) -> httpx.Client:
        access = self.access
        return httpx.Client(
            timeout=httpx.Timeout(access.read_timeout_s, connect=access.connect_timeout_s),
            follow_redirects=False,
            trust_env=False,
            auth=access.credentials,
        )

    @contextlib.contextmanager
    def _answer(
        self,
        client: httpx.Client,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Iterator[httpx.Response]:
        """An answer that is a success, to be read within the context.

        Raises:
            ArchiveError, ArchiveUnreachableError: there is none.
        """
        all_headers = {"Accept-Encoding": "identity", **self.access.headers(), **headers}
        try:
            with client.stream(method, url, headers=all_headers, content=body) as answer:
                if not answer.is_success:
                    raise _refusal(answer.status_code)
                yield answer
        except httpx.HTTPError as error:
            why = type(error).__name__
            logger.debug("DICOMweb archive: %s: %s", why, error)
            message = f"the DICOMweb archive cannot be reached ({why}): try again later"
            raise ArchiveUnreachableError(message) from error


def _refusal(status: int) -> ArchiveError:
    if status in _REFUSED:
        return ArchiveError("the DICOMweb archive refuses this server's credentials")
    message = f"the DICOMweb archive answers {status}"
    if status in _NOT_THERE:
        return NotInArchiveError(message)
    return ArchiveUnreachableError(message) if status in _LATER else ArchiveError(message)


def _body(answer: httpx.Response, most: int) -> bytes:
    """An answer's content, of which no more than so many bytes are ever in memory."""
    parts: list[bytes] = []
    size = 0
    for part in answer.iter_raw():
        size += len(part)
        if size > most:
            message = f"the archive's answer is larger than {most / 2**20:.0f} MiB"
            raise ArchiveError(message)
        parts.append(part)
    return b"".join(parts)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        message = "the archive's answer is no JSON: is its address that of DICOMweb?"
        raise ArchiveError(message) from error
