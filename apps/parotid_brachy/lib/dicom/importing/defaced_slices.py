"""Air into the slices of a series where its face was; runs in the import's child process only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from parotid_brachy.lib.dicom.importing.records import IMAGE_FILE, SERIES_FOLDER
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.dicom_series import read_series
from parotid_brachy.lib.imaging.dicom_slice import read_dataset
from parotid_brachy.lib.imaging.limits import CT_LIMITS
from parotid_brachy.lib.imaging.nifti_image import write_nifti
from parotid_brachy.lib.imaging.volume import Volume

AIR_HU: Final = -1000
_UNFINISHED: Final = "defaced.nii.gz"
_ROUNDING_HU: Final = 1.0
_METHOD: Final = "surface of the face set to air"
_OF_OLD_PIXELS: Final = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "PixelDataProviderURL",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "IconImageSequence",
)


def write_defaced(folder: Path, changed: NDArray[np.bool_], name: str) -> None:
    """Writes a converted series and its image anew, with air in some voxels.

    Args:
        folder: with ``series/0001.dcm`` and so on, and ``image.nii.gz``, of one grid.
        changed: which voxels become air, k, j, i as in the image.
        name: of the series, for messages.

    Raises:
        GeometryError: the mask does not fit the series.
        InputRefusedError: a slice cannot hold air, or another voxel would change.
    """
    series = folder / SERIES_FOLDER
    grid, before = read_series(series, CT_LIMITS)
    if changed.shape != before.shape:
        message = f"{name}: a mask of shape {changed.shape} for slices of shape {before.shape}"
        raise GeometryError(message)
    for number, mask in enumerate(changed):
        path = series / f"{number + 1:04d}.dcm"
        dataset = read_dataset(path, CT_LIMITS, pixels=True)
        _set_air(dataset, mask, path.name)
        dataset.save_as(path, write_like_original=False)
    grid, after = read_series(series, CT_LIMITS)
    is_air = np.all(after[changed] <= AIR_HU + _ROUNDING_HU)
    if not is_air or not np.array_equal(after[~changed], before[~changed]):
        message = f"{name}: cannot be defaced without changing other voxels. Please report this."
        raise InputRefusedError(message)
    image = folder / _UNFINISHED
    write_nifti(image, Volume(grid, after, name))
    image.replace(folder / IMAGE_FILE)


def _set_air(dataset: FileDataset, mask: NDArray[np.bool_], name: str) -> None:
    """Puts air into a slice, uncompressed, and says so in it."""
    stored: NDArray[Any] = dataset.pixel_array.copy()
    slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    air = round((AIR_HU - intercept) / slope)
    bits, is_signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    low = -(1 << (bits - 1)) if is_signed else 0
    if not low <= air < low + (1 << bits):
        message = (
            f"{name}: its pixels cannot hold air ({AIR_HU} HU would be the stored value {air}). "
            "Import the series without defacing."
        )
        raise InputRefusedError(message)
    # What is less dense than air is the scanner's own, for what lies outside of its circle.
    stored[mask & (stored * slope + intercept > AIR_HU)] = air
    little_endian = stored.dtype.newbyteorder("<")
    dataset.PixelData = stored.astype(little_endian).tobytes()
    dataset["PixelData"].is_undefined_length = False
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    for keyword in _OF_OLD_PIXELS:
        if keyword in dataset:
            delattr(dataset, keyword)
    kinds = list(dataset.get("ImageType") or ["ORIGINAL", "PRIMARY", "AXIAL"])
    dataset.ImageType = ["DERIVED", *kinds[1:]]
    methods = dataset.get("DeidentificationMethod") or []
    told = [methods] if isinstance(methods, str) else list(methods)
    dataset.DeidentificationMethod = [*told, _METHOD]
