"""One CT series into slices and an image to keep; runs in the import's child process only.

The image is proven before it is handed over: what was written is read back, and its grid and
voxels must be those of the slices that came in.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from parotid_brachy.lib.dicom.case_series import RELATED_FOLDER
from parotid_brachy.lib.dicom.importing.identity import Identity, case_id_of
from parotid_brachy.lib.dicom.importing.limits import ImportLimits
from parotid_brachy.lib.dicom.importing.records import IMAGE_FILE, SERIES_FOLDER, Converted
from parotid_brachy.lib.dicom.importing.survey import RELATED_CLASSES
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.ct_checks import require_ct_numbers
from parotid_brachy.lib.imaging.dicom_series import locate_slices, read_series, read_voxels
from parotid_brachy.lib.imaging.dicom_slice import ct_slice, read_dataset, why_no_slice
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.limits import CT_LIMITS, FileLimits
from parotid_brachy.lib.imaging.nifti_image import write_nifti
from parotid_brachy.lib.imaging.series_geometry import LocatedSeries
from parotid_brachy.lib.imaging.volume import Grid, Volume

SAME_GRID_MM: Final = 1e-3
"""How far a corner of the image that was written may be from the series' own."""

_LIMITS: Final = replace(CT_LIMITS, voxel_bytes=3 * 1024**3 // 2)
"""Room for the slices beside the volume within the child's memory."""

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class SeriesToConvert:
    """What is to be converted.

    Attributes:
        name: of the series, for messages.
        slices: its files.
        related: structure sets, plans and doses that belong to it.
        strays: slices that lie beside its own and say they are of another series.
        seed_plan: name or UID of the seed plan, if stated.
    """

    name: str
    slices: Sequence[Path]
    related: Sequence[Path] = ()
    strays: Sequence[Path] = ()
    seed_plan: str = ""


def convert(
    wanted: SeriesToConvert, folder: Path, identity: Identity, limits: ImportLimits, tell: Tell
) -> Converted:
    """Writes the slices of a series as they are to be kept, and their image.

    Args:
        wanted: the series.
        folder: empty; ``series/0001.dcm`` and so on, ``series/related/*.dcm`` and
            ``image.nii.gz`` are written there.
        identity: what becomes of the objects.
        limits: how large a related object may be.
        tell: called with how much is done, and of how much.

    Raises:
        InputRefusedError, GeometryError: the series is none that can be worked on; names the
            slice.
    """
    total = 3 * len(wanted.slices) + len(wanted.related)
    located = _located(wanted, _step(tell, 0, total))
    _require_whole(located, wanted.strays)
    voxels = read_voxels(located, _LIMITS)
    require_ct_numbers(voxels, name=wanted.name)
    sha256 = _voxels_sha256(voxels)
    del voxels
    tell(2 * len(wanted.slices), total)
    series = folder / SERIES_FOLDER
    (series / RELATED_FOLDER).mkdir(parents=True)
    first = _write_slices(located, series, identity, _step(tell, 2 * len(wanted.slices), total))
    related, left_out = _write_related(wanted.related, series, identity, limits)
    _write_image(located, series, folder / IMAGE_FILE, sha256)
    tell(total, total)
    original = read_dataset(located.slices[0].path, _LIMITS, pixels=False)
    seed_plan = identity.seed_plan(wanted.seed_plan, original)
    identity.remember()
    return Converted(
        case=case_id_of(first),
        series_uid=str(first.SeriesInstanceUID),
        grid=located.grid,
        slice_count=len(located.slices),
        voxels_sha256=sha256,
        related=tuple(related),
        related_left_out=dict(left_out),
        date_shift_days=identity.date_shift_days(),
        deidentification=identity.findings(),
        seed_plan=seed_plan,
    )


def _step(tell: Tell, before: int, total: int) -> Callable[[int], None]:
    return lambda done: tell(before + done, total)


def _located(wanted: SeriesToConvert, tell: Callable[[int], None]) -> LocatedSeries:
    """The series, each slice's whole header looked at.

    Raises:
        InputRefusedError: a file is no slice, or in the series twice.
        GeometryError: the slices make up no grid.
    """
    slices, known = [], dict[str, Path]()
    for number, path in enumerate(wanted.slices):
        header = read_dataset(path, _LIMITS, pixels=False)
        reason = why_no_slice(header, path)
        if reason:
            raise InputRefusedError(f"{path.name}: is {reason}. Export the series again.")
        uid = str(header.get("SOPInstanceUID") or "")
        earlier = known.setdefault(uid, path)
        if not uid or earlier is not path:
            message = (
                f"{earlier.name} and {path.name} are the same slice twice "
                f"(SOPInstanceUID {uid}). Give each slice once."
                if uid
                else f"{path.name}: SOPInstanceUID is missing. Export the series again."
            )
            raise InputRefusedError(message)
        slices.append(ct_slice(header, path))
        tell(number + 1)
    return locate_slices(slices, _LIMITS, name=wanted.name)


def _require_whole(located: LocatedSeries, strays: Sequence[Path]) -> None:
    """Refuses a series whose next slice lies beside it under another series UID.

    No gap would show that an end is missing.

    Raises:
        GeometryError: there is one.
    """
    for path in strays:
        try:
            one = ct_slice(read_dataset(path, _LIMITS, pixels=False), path)
        except InputRefusedError:
            continue  # refused as a series of its own
        if located.is_continued_by(one):
            message = (
                f"{located.name}: {path.name} continues it but states another series UID "
                "(damaged?). Export the series again, or move that file away."
            )
            raise GeometryError(message)


def _write_slices(
    located: LocatedSeries, series: Path, identity: Identity, tell: Callable[[int], None]
) -> FileDataset:
    """Writes the slices in their order; the first one as kept."""
    first = None
    for number, one in enumerate(located.slices):
        target = series / f"{number + 1:04d}.dcm"
        kept = _write_kept(one.path, target, identity, _LIMITS)
        first = first or kept
        tell(number + 1)
    assert first is not None
    return first


def _write_kept(path: Path, target: Path, identity: Identity, limits: FileLimits) -> FileDataset:
    dataset = read_dataset(path, limits, pixels=True)
    if not identity.is_deidentified:
        shutil.copyfile(path, target)  # byte for byte, with what pydicom would write otherwise
        return dataset
    try:
        kept = identity.kept(dataset)
    except InputRefusedError as error:
        raise InputRefusedError(f"{path.name}: {error}") from error
    kept.save_as(target, write_like_original=False)
    return kept


def _write_related(
    paths: Sequence[Path], series: Path, identity: Identity, limits: ImportLimits
) -> tuple[list[str], Counter[str]]:
    """Writes what came along; the names, and how many were left out, by reason.

    A plan that cannot be read is no reason to do without the CT.
    """
    names: set[str] = set()
    left_out: Counter[str] = Counter()
    bounds = replace(CT_LIMITS, slice_file_bytes=limits.file_bytes)
    for path in paths:
        unfinished = series / RELATED_FOLDER / ".unfinished"
        try:
            kept = _write_kept(path, unfinished, identity, bounds)
        except InputRefusedError as error:
            left_out[_without_name(str(error), path)] += 1
            unfinished.unlink(missing_ok=True)
            continue
        uid = hashlib.sha256(str(kept.get("SOPInstanceUID")).encode()).hexdigest()
        name = f"{RELATED_CLASSES.get(kept.get('SOPClassUID'), 'object')}_{uid[:16]}.dcm"
        unfinished.replace(series / RELATED_FOLDER / name)
        names.add(name)
    return sorted(names), left_out


def _without_name(reason: str, path: Path) -> str:
    return reason.replace(path.name, "a related object")[:200]


def _write_image(located: LocatedSeries, series: Path, image: Path, sha256: str) -> None:
    """Writes the image of the slices that are kept, and proves it against those that came.

    Raises:
        GeometryError, InputRefusedError: it is another one.
    """
    grid, voxels = read_series(series, _LIMITS)
    _require_same(grid, voxels, located, sha256, what="the slices as they are to be kept")
    write_nifti(image, Volume(grid, voxels, located.name))
    del voxels
    written = read_volume(image, limits=_LIMITS)
    _require_same(written.grid, written.voxels, located, sha256, what="the image")


def _require_same(
    grid: Grid, voxels: NDArray[Any], located: LocatedSeries, sha256: str, *, what: str
) -> None:
    if not grid.is_same_as(located.grid, tolerance_mm=SAME_GRID_MM):
        message = (
            f"{located.name}: {what} would lie on another grid ({grid.describe()}) than the "
            f"slices ({located.grid.describe()}). Please report this."
        )
        raise GeometryError(message)
    if _voxels_sha256(voxels) != sha256:
        message = f"{located.name}: {what} would have other voxels. Please report this."
        raise InputRefusedError(message)


def _voxels_sha256(voxels: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{voxels.dtype.str} {voxels.shape}".encode())
    for plane in voxels:
        digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()
