"""A DICOM Segmentation of any origin as a label map on a series' grid, through dcmqi."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.dicom.read_contours import (
    NamedMask,
    ReadContours,
    chosen_candidates,
    merged,
)
from parotid_brachy.lib.dicom.segmentation.dcmqi import (
    TIME_LIMIT_S,
    ConversionError,
    Tool,
    run_tool,
)
from parotid_brachy.lib.dicom.segmentation.frames import (
    FrameGeometry,
    frames_of,
    geometry_of,
    require_binary,
)
from parotid_brachy.lib.dicom.segmentation.known_segments import KnownSegment, known_segments
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.errors import GeometryError, InputRefusedError, ParotidBrachyError
from parotid_brachy.lib.imaging.ct_checks import grid_of_affine
from parotid_brachy.lib.imaging.dicom_slice import read_dataset
from parotid_brachy.lib.imaging.files import read_header
from parotid_brachy.lib.imaging.limits import CT_LIMITS, FileLimits
from parotid_brachy.lib.imaging.sampling import sample_labels
from parotid_brachy.lib.imaging.segments import placed
from parotid_brachy.lib.imaging.stored_image import quoted, read_stored, require_size
from parotid_brachy.lib.imaging.volume import Grid

_LIMITS: Final = replace(
    CT_LIMITS, slice_file_bytes=512 * 1024**2, least_size=1, extent_mm=(0.0, 2500.0)
)
_SAME_PLACE_MM: Final = 0.01
_MOST_SLICES: Final = CT_LIMITS.slices


def read_segmentation(
    path: Path,
    series: SourceSeries,
    *,
    side: Side | None = None,
    resample: bool = False,
    time_limit_s: float = TIME_LIMIT_S,
) -> ReadContours:
    """Reads the segments of a segmentation that was made on a series.

    Args:
        path: a DICOM file.
        series: the CT.
        side: the patient's side that is wanted; None: the one that the segments state.
        resample: whether a segmentation on another grid of the same frame of reference is brought
            to the series' grid (each voxel by linear vote); else it is refused.
        time_limit_s: for dcmqi.

    Raises:
        InputRefusedError: no binary segmentation, damaged, of another frame of reference, without
            any known structure, of both sides where none is wanted, or one that dcmqi cannot read.
        GeometryError: it lies on another grid than the series.
        NotFoundError: dcmqi is not installed.
        ConversionError: dcmqi read other voxels than it holds.
    """
    name = path.name
    dataset = read_dataset(path, _LIMITS, pixels=True)
    try:
        require_binary(dataset, name)
        segments, not_taken = known_segments(dataset)
        geometry = geometry_of(dataset)
        _require_frame(dataset, series, name)
    except ParotidBrachyError:
        raise
    # pydicom converts what is nested only now, and lets nearly any error through.
    except Exception as error:
        message = f"{name}: damaged segmentation ({type(error).__name__}: {quoted(error)})."
        raise InputRefusedError(message) from error
    _require_bounded(geometry, name)
    if not resample:
        _require_on_grid(geometry, series.grid, name)
    taken, also_not, found = chosen_candidates(
        [(one.name, one.structure, one.side) for one in segments], side, what=name
    )
    if not taken:
        names = ", ".join(f"{quoted(n.name)}: {n.reason}" for n in (*not_taken, *also_not)[:8])
        message = f"{name}: holds no structure that is wanted here ({names or 'nothing'})."
        raise InputRefusedError(message)
    wanted = [segments[index] for index in taken]
    masks = _masks(path, wanted, series.grid, resample=resample, time_limit_s=time_limit_s)
    if not resample:
        _require_whole(masks, wanted, _voxels_of_segments(dataset, geometry), name)
    return merged(masks, [*not_taken, *also_not], found, series.grid.shape_kji)


def _require_frame(dataset: Dataset, series: SourceSeries, name: str) -> None:
    frame = str(dataset.get("FrameOfReferenceUID", ""))
    if frame != series.frame_uid:
        message = (
            f"{name}: lies in the frame of reference {quoted(frame)}, the CT {series.name} in "
            f"{quoted(series.frame_uid)}. Give the segmentation of this CT."
        )
        raise InputRefusedError(message)


def _require_bounded(geometry: FrameGeometry, name: str) -> None:
    """Refuses frames over which dcmqi would lay a volume of any size.

    Raises:
        GeometryError: frames at no places, or far apart for their number.
    """
    axes = np.asarray(geometry.orientation, dtype=np.float64).reshape(2, 3)
    is_plane = np.allclose(axes @ axes.T, np.eye(2), atol=1e-2)
    if (
        not is_plane
        or not np.all(np.isfinite(geometry.positions_lps_mm))
        or min(geometry.spacing_ij_mm) <= 0.0
    ):
        message = f"{name}: its frames have no geometry. Export it again."
        raise GeometryError(message)
    heights = np.unique(np.round(geometry.positions_lps_mm @ np.cross(axes[0], axes[1]), 3))
    steps = np.diff(heights)
    steps = steps[steps > _SAME_PLACE_MM]
    step = float(steps.min()) if steps.size else 1.0
    slices = (heights[-1] - heights[0]) / step + 1
    columns, rows = geometry.size_ij
    if slices > _MOST_SLICES or slices * columns * rows > CT_LIMITS.voxel_bytes / 2:
        message = f"{name}: its frames span {slices:.0f} slices of {columns} x {rows}: too many."
        raise GeometryError(message)


def _require_on_grid(geometry: FrameGeometry, grid: Grid, name: str) -> None:
    """Refuses frames that are no slices of a grid.

    Raises:
        GeometryError: another size, spacing, direction, or frames between or beside the slices.
    """
    axes = np.asarray(grid.direction).reshape(3, 3)
    index = grid.to_index(geometry.positions_lps_mm)
    rounded = np.rint(index)
    own = np.asarray(geometry.orientation).reshape(2, 3)
    columns, rows, depth = grid.size_ijk
    differences = {
        f"{geometry.size_ij} columns and rows, not {(columns, rows)}": geometry.size_ij
        != (columns, rows),
        f"pixels of {geometry.spacing_ij_mm} mm, not {grid.spacing_mm[:2]}": not np.allclose(
            geometry.spacing_ij_mm, grid.spacing_mm[:2], rtol=1e-3
        ),
        "turned slices": not np.allclose(own, axes.T[:2], atol=2e-3),
        "frames beside the slices": np.abs(index[:, :2]).max() > _off_grid(grid)[:2].min(),
        "frames between the slices": np.abs(index[:, 2] - rounded[:, 2]).max() > 0.05,
        "frames outside the series": rounded[:, 2].min() < 0 or rounded[:, 2].max() >= depth,
    }
    found = [what for what, differs in differences.items() if differs]
    if found:
        message = (
            f"{name}: its grid is not the series' ({'; '.join(found)}). Give the segmentation of "
            "this very series, or ask for it to be resampled."
        )
        raise GeometryError(message)


def _off_grid(grid: Grid) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """How many voxels a hundredth of a millimetre is along i, j and k."""
    return np.asarray(0.01 / np.asarray(grid.spacing_mm), dtype=np.float64)


def _masks(
    path: Path, segments: Sequence[KnownSegment], grid: Grid, *, resample: bool, time_limit_s: float
) -> list[NamedMask]:
    """The segments' masks on the grid, as dcmqi reads them: one file for each segment."""
    with tempfile.TemporaryDirectory(prefix="parotid-seg-") as name:
        folder = Path(name)
        arguments = ["--inputDICOM", str(path.resolve()), "--outputDirectory", str(folder)]
        arguments += ["-p", "s", "-t", "nrrd"]
        try:
            run_tool(Tool.READ, arguments, folder, case=path.name, time_limit_s=time_limit_s)
        except ConversionError as error:
            message = f"{error} Export the segmentation again."
            raise InputRefusedError(message) from error
        masks = []
        for one in segments:
            mask = _mask(folder / f"s-{one.number}.nrrd", grid, path.name, resample=resample)
            masks.append(NamedMask(one.name, one.structure, one.side, mask))
    return masks


def _voxels_of_segments(dataset: Dataset, geometry: FrameGeometry) -> Counter[int]:
    """How many voxels are set in each segment's frames, by its number."""
    counts: Counter[int] = Counter()
    for number, frame in zip(geometry.segments, frames_of(dataset), strict=True):
        counts[number] += int(np.count_nonzero(frame))
    return counts


def _require_whole(
    masks: Sequence[NamedMask], segments: Sequence[KnownSegment], expected: Counter[int], name: str
) -> None:
    """Refuses what dcmqi read if it lost voxels.

    Raises:
        ConversionError: a segment has other voxels than its frames.
    """
    for mask, segment in zip(masks, segments, strict=True):
        read = int(np.count_nonzero(mask.mask))
        if read != expected[segment.number]:
            message = (
                f"{name}: segment {segment.number} ({quoted(segment.name)}) has "
                f"{expected[segment.number]} voxels, and dcmqi read {read}; nothing was taken."
            )
            raise ConversionError(message)


def _mask(file: Path, grid: Grid, name: str, *, resample: bool) -> NDArray[np.bool_]:
    """One segment's mask on the grid; a segment without frames has no file and is empty."""
    if not file.is_file():
        return np.zeros(grid.shape_kji, dtype=np.bool_)
    limits: FileLimits = _LIMITS
    stored = read_header(file, limits)
    require_size(stored, limits)
    own = grid_of_affine(stored.affine_lps, stored.size_ijk, name=name, shear=limits.shear)
    mask = (read_stored(stored) != 0).astype(np.uint8)
    if resample and not grid.is_same_as(own):
        return np.asarray(sample_labels(mask, own, grid) != 0)
    return np.asarray(placed(mask, own, grid, name=name) != 0)
