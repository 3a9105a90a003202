"""A DICOMweb archive as MONAI Label's datastore: its series are cases like any others.

Images are fetched when they are needed; contours, states and the journal are kept in a folder of
this server's, whether or not the archive answers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.dicomweb.access import ArchiveError
from parotid_brachy.lib.dicomweb.archive import Archive
from parotid_brachy.lib.dicomweb.archive_images import ArchiveImages, clear_fetching
from parotid_brachy.lib.dicomweb.known_series import KnownSeries
from parotid_brachy.lib.dicomweb.taking_in import taken_into
from parotid_brachy.lib.review.records import STORE_FOLDER
from parotid_brachy.lib.review.states import ReviewPolicy

logger = logging.getLogger(__name__)

_LIST: Final = "archive.json"
_LOOKS_AGAIN_AFTER_S: Final = 2.0


class ArchiveStudies(Studies):
    """The cases of one archive.

    Args:
        archive: whose series are cases.
        folder: for images that were fetched, and for contours; it is made.
        database_url: of a PostgreSQL database for the store's rows; None: SQLite in the folder.
        policy: what the team has agreed on.
    """

    images: ArchiveImages

    def __init__(
        self,
        archive: Archive,
        folder: Path,
        *,
        database_url: str | None = None,
        policy: ReviewPolicy | None = None,
    ) -> None:
        (folder / STORE_FOLDER).mkdir(parents=True, exist_ok=True)
        self.known = KnownSeries(archive, folder / STORE_FOLDER / _LIST)
        try:
            self.known.look()
        except ArchiveError as error:
            logger.warning("%s: %s; served are the cases of its last list", archive.url, error)
        clear_fetching(folder)
        images = ArchiveImages(folder, self.known, taken_into(folder))
        super().__init__(folder, database_url=database_url, policy=policy, images=images)

    def name(self) -> str:
        """The archive's address."""
        return self.known.archive.url

    def has_image(self, image_id: str) -> bool:
        """Whether there is such a case; the archive is asked about one that is unknown."""
        if super().has_image(image_id):
            return True
        self.known.look_if_last_looked_before(_LOOKS_AGAIN_AFTER_S)
        return super().has_image(image_id)

    def _notes_on(self, files: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        series = self.known.all()
        return {uid: series[uid].image_info for uid in files if uid in series}
