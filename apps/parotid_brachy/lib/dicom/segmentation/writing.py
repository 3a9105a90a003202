"""A label map as a DICOM Segmentation (PS3.3, section A.51), through dcmqi."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.dicom.contour_content import ContourContent
from parotid_brachy.lib.dicom.segmentation.dcmqi import (
    TIME_LIMIT_S,
    ConversionError,
    Tool,
    last_words,
    require_room,
    run_tool,
)
from parotid_brachy.lib.dicom.segmentation.metadata import metadata_of
from parotid_brachy.lib.dicom.segmentation.written_object import require_faithful
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.errors import StoreFullError
from parotid_brachy.lib.imaging.atomic import is_disk_full
from parotid_brachy.lib.imaging.label_encoding import nrrd_bytes
from parotid_brachy.lib.imaging.volume import Grid

logger = logging.getLogger(__name__)

_MAPPED: Final = re.compile(r"(\d+) of (\d+) slices mapped")


def segmentation_bytes(
    labels: NDArray[np.uint8],
    grid: Grid,
    series: SourceSeries,
    content: ContourContent,
    *,
    time_limit_s: float = TIME_LIMIT_S,
) -> bytes:
    """A DICOM file with one segment for each structure that the map holds.

    Geometry is compared before dcmqi is called; the slices that it says it mapped, its exit code
    and every voxel of what it wrote are compared after.

    Args:
        labels: values of ``anatomy``, shape ``grid.shape_kji``.
        grid: of the map; must be the series'.
        series: the CT that was contoured.
        content: who made the contours, how, and of which side.
        time_limit_s: for dcmqi.

    Raises:
        GeometryError: the map is not on the series' grid.
        InputRefusedError: it holds no structure, or values of none.
        NotFoundError: dcmqi is not installed.
        ConversionError: dcmqi failed, was killed, took too long or wrote something else.
        StoreFullError: there is no room for the temporary files.
    """
    structures = series.require_map(labels, grid)
    with tempfile.TemporaryDirectory(prefix="parotid-seg-") as name:
        folder = Path(name)
        try:
            _lay_out(folder, labels, series)
            metadata = metadata_of(structures, series, content)
            (folder / "meta.json").write_text(json.dumps(metadata), encoding="utf-8")
            encoded = _converted(folder, series, content.case, time_limit_s)
        except OSError as error:
            if not is_disk_full(error):
                raise
            message = f"{content.case}: no room for temporary files in {folder.parent} ({error})"
            raise StoreFullError(message) from error
        try:
            require_faithful(encoded, labels, structures, series, content)
        except ConversionError:
            require_room(folder, content.case)
            raise
    return encoded


def _lay_out(folder: Path, labels: NDArray[np.uint8], series: SourceSeries) -> None:
    """The map, on the series' own grid, and a folder with the slices of this series only."""
    (folder / "labels.nrrd").write_bytes(nrrd_bytes(labels, series.grid))
    (folder / "ct").mkdir()
    for k, one in enumerate(series.slices):
        path = folder / "ct" / f"{k:05d}.dcm"
        try:
            path.symlink_to(one.path.resolve())
        except OSError as error:
            if is_disk_full(error):
                raise
            shutil.copyfile(one.path, path)  # where links need a privilege


def _converted(folder: Path, series: SourceSeries, case: str, time_limit_s: float) -> bytes:
    """What dcmqi wrote.

    Raises:
        ConversionError: it says that it did not map every slice, or wrote nothing.
    """
    said = run_tool(
        Tool.WRITE,
        [
            *("--inputImageList", str(folder / "labels.nrrd")),
            *("--inputDICOMDirectory", str(folder / "ct")),
            *("--inputMetadata", str(folder / "meta.json")),
            *("--outputDICOM", str(folder / "seg.dcm")),
        ],
        folder,
        case=case,
        time_limit_s=time_limit_s,
    )
    mapped = _MAPPED.search(said)
    count = len(series.slices)
    if mapped is None or (int(mapped[1]), int(mapped[2])) != (count, count):
        stated = mapped[0] if mapped else last_words(said)
        message = (
            f"{case}: dcmqi did not find the {count} slices of {series.name} under the label map "
            f"(it said: {stated}); nothing was kept."
        )
        raise ConversionError(message)
    path = folder / "seg.dcm"
    if not path.is_file():
        require_room(folder, case)
        message = f"{case}: dcmqi wrote no file and said: {last_words(said)}"
        raise ConversionError(message)
    logger.debug("%s: %s", case, mapped[0])
    return path.read_bytes()
