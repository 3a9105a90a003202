"""Where an archive is, and where its cases' contours are kept: from ``--studies`` and the settings.

The archive's credentials come by environment variables under the framework's names
(``MONAI_LABEL_DICOMWEB_USERNAME`` and ``_PASSWORD``), so that no list of processes shows them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import google.auth
import google.auth.transport.requests
from monailabel.config import settings

from parotid_brachy.lib.dicomweb.access import ArchiveAccess
from parotid_brachy.lib.server.conf_values import ConfValues, nonsense

_SCHEMES: Final = ("http://", "https://")
_GOOGLE_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


def is_archive(studies: str) -> bool:
    """Whether ``--studies`` is an archive's address, not a folder."""
    return studies.startswith(_SCHEMES)


def studies_folder(conf: Mapping[str, Any], studies: str) -> Path:
    """The folder where cases lie and contours are kept; of an archive, those that were fetched.

    Args:
        conf: what follows ``--conf``; ``studies_folder`` names an archive's.
        studies: what follows ``--studies``.

    Raises:
        UsageError: the folder of an archive is no absolute path.
    """
    if not is_archive(studies):
        return Path(studies)
    named = ConfValues(conf).text("studies_folder")
    if named:
        folder = Path(named).expanduser()
        if not folder.is_absolute():
            raise nonsense("studies_folder", named, "the absolute path of a folder")
        return folder
    root = studies.rstrip("/")
    host = re.sub(r"[^\w.-]", "_", urlsplit(root).hostname or "archive")
    name = f"{host}-{hashlib.sha256(root.encode()).hexdigest()[:12]}"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "parotid-brachy" / name


def archive_access(studies: str) -> ArchiveAccess:
    """How an archive is reached, by the framework's settings.

    Args:
        studies: its address.
    """
    root = studies.rstrip("/")
    name = settings.MONAI_LABEL_DICOMWEB_USERNAME or settings.MONAI_LABEL_DATASTORE_USERNAME
    password = settings.MONAI_LABEL_DICOMWEB_PASSWORD or settings.MONAI_LABEL_DATASTORE_PASSWORD
    is_googles = _is_google(root)
    known = (name, password) if name and password and not is_googles else None
    search = {str(k): str(v) for k, v in settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER.items()}
    return ArchiveAccess(
        root=root,
        credentials=known,
        headers=_google_authorisation if is_googles else _no_headers,
        qido_prefix=(settings.MONAI_LABEL_QIDO_PREFIX or "").strip("/"),
        wado_prefix=(settings.MONAI_LABEL_WADO_PREFIX or "").strip("/"),
        stow_prefix=(settings.MONAI_LABEL_STOW_PREFIX or "").strip("/"),
        search=search,
        read_timeout_s=settings.MONAI_LABEL_DICOMWEB_PROXY_TIMEOUT,
    )


def _no_headers() -> Mapping[str, str]:
    return {}


def _google_authorisation() -> Mapping[str, str]:
    credentials, _ = google.auth.default(scopes=[_GOOGLE_SCOPE])
    credentials.refresh(google.auth.transport.requests.Request())  # type: ignore[no-untyped-call]
    return {"Authorization": f"Bearer {credentials.token}"}


def _is_google(root: str) -> bool:
    parts = urlsplit(root)
    return parts.scheme == "https" and (parts.hostname or "").endswith(".googleapis.com")
