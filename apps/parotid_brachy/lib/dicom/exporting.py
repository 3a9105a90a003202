"""Contours out: one label map as a DICOM segmentation and as a structure set, both or neither."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import Structure
from parotid_brachy.lib.dicom.contour_content import ContourContent
from parotid_brachy.lib.dicom.deidentification.file_frame import file_bytes
from parotid_brachy.lib.dicom.deidentification.mapping import PseudonymMapping
from parotid_brachy.lib.dicom.deidentification.reidentification import reidentify
from parotid_brachy.lib.dicom.segmentation.dcmqi import TIME_LIMIT_S
from parotid_brachy.lib.dicom.segmentation.writing import segmentation_bytes
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.dicom.structure_set.writing import structure_set_bytes
from parotid_brachy.lib.errors import StoreFullError
from parotid_brachy.lib.imaging.atomic import (
    TEMPORARY_ENDING,
    is_disk_full,
    synchronise_folder,
    write_atomically,
)
from parotid_brachy.lib.imaging.limits import CT_LIMITS, FileLimits
from parotid_brachy.lib.imaging.volume import Grid

SEGMENTATION_FILE: Final = "seg.dcm"
STRUCTURE_SET_FILE: Final = "rtstruct.dcm"


@dataclass(frozen=True)
class ExportedObjects:
    """What was written.

    Attributes:
        seg: the DICOM segmentation.
        rtstruct: the structure set.
        structures: what they hold, in the protocol's order; the others are empty in the map.
    """

    seg: Path
    rtstruct: Path
    structures: tuple[Structure, ...]


def export_case(
    labels: NDArray[np.uint8],
    grid: Grid,
    series_folder: Path,
    output: Path,
    content: ContourContent,
    *,
    limits: FileLimits = CT_LIMITS,
    time_limit_s: float = TIME_LIMIT_S,
) -> ExportedObjects:
    """Writes ``seg.dcm`` and ``rtstruct.dcm`` of one label map.

    Both are made and checked before one of them is written; those of an earlier export stay
    otherwise.

    Args:
        labels: values of ``anatomy``, shape ``grid.shape_kji``.
        grid: of the map; must be the series'.
        series_folder: holds the CT series that was contoured.
        output: folder; is made where it is missing.
        content: who made the contours, how, and of which side.
        limits: bounds of the series.
        time_limit_s: for dcmqi.

    Raises:
        InputRefusedError: no usable series, or a map without structures.
        GeometryError: the map is not on the series' grid.
        ConversionError: dcmqi failed.
        StoreFullError: the disk is full.
        OSError: the output cannot be written to.
    """
    series = read_source_series(series_folder, limits=limits)
    structures = series.require_map(labels, grid)
    contents = {
        STRUCTURE_SET_FILE: structure_set_bytes(labels, grid, series, content),
        SEGMENTATION_FILE: segmentation_bytes(
            labels, grid, series, content, time_limit_s=time_limit_s
        ),
    }
    try:
        _write_all(output, contents)
    except OSError as error:
        if not is_disk_full(error):
            raise
        message = (
            f"{content.case}: nothing was exported, because the disk of {output} is full. "
            "Make room."
        )
        raise StoreFullError(message) from error
    return ExportedObjects(output / SEGMENTATION_FILE, output / STRUCTURE_SET_FILE, structures)


def put_back_identity(exported: ExportedObjects, mapping: PseudonymMapping) -> None:
    """Gives written objects their patient's own name, ids, UIDs and dates.

    Args:
        exported: of a case that was imported under a pseudonym; where it cannot be put back,
            neither object stays, so that nobody takes one for the other.
        mapping: the hospital's.

    Raises:
        NotFoundError: the mapping does not know the patient.
        OSError: an object cannot be written.
    """
    files = (exported.seg, exported.rtstruct)
    try:
        own = {path: file_bytes(reidentify(pydicom.dcmread(path), mapping)) for path in files}
        for path, content in own.items():
            write_atomically(path, content)
    except BaseException:
        for path in files:
            path.unlink(missing_ok=True)
        raise


def _write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes files so that a full disk leaves the earlier ones as they were.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{secrets.token_hex(8)}{TEMPORARY_ENDING}"
    aside.mkdir()
    try:
        for name, content in contents.items():
            write_atomically(aside / name, content)
        for name in contents:
            (aside / name).replace(folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    synchronise_folder(folder)
