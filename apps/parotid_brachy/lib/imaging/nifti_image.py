"""CT volumes as NIfTI-1 files, slice by slice, so that large ones are not held twice."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.imaging.volume import Volume

_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_SCANNER: Final = 1
_HEADER_BYTES: Final = 352
_LONGEST_AXIS: Final = 32_767
_COMPRESSION_LEVEL: Final = 3
_VOXEL_TYPES: Final = (np.dtype("<i2"), np.dtype("<f4"))


def write_nifti(path: Path, volume: Volume) -> None:
    """Writes a CT as ``.nii.gz``; the same volume gives the same bytes.

    NIfTI keeps the affine in single precision: the grid that is read back is within a
    thousandth of a millimetre of the volume's.

    Args:
        path: a file that does not exist yet; what is there after an error is no image.
        volume: int16 or float32 HU.

    Raises:
        UsageError: numbers of another type, or more voxels along an axis than NIfTI-1 counts.
        OSError: the disk is full or not writable.
    """
    dtype = volume.voxels.dtype.newbyteorder("<")
    if dtype not in _VOXEL_TYPES or max(volume.grid.size_ijk) > _LONGEST_AXIS:
        message = (
            f"{volume.case}: voxels of type {volume.voxels.dtype} on {volume.grid.describe()} "
            "cannot be written as NIfTI; int16 or float32 is needed"
        )
        raise UsageError(message)
    with path.open("xb") as file, gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, file, 0) as packed:
        packed.write(_header(volume, dtype))
        for plane in volume.voxels:
            packed.write(np.ascontiguousarray(plane, dtype=dtype).tobytes())


def _header(volume: Volume, dtype: np.dtype[Any]) -> bytes:
    affine = np.eye(4)
    affine[:3, :3] = volume.grid.matrix
    affine[:3, 3] = volume.grid.origin_lps_mm
    affine = _LPS_TO_RAS @ affine
    header: Any = nibabel.Nifti1Header(endianness="<")  # type: ignore[no-untyped-call]
    header.set_data_dtype(dtype)
    header.set_data_shape(volume.grid.size_ijk)
    header.set_qform(affine, code=_SCANNER, strip_shears=True)
    header.set_sform(affine, code=_SCANNER)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1.0, 0.0)
    header["magic"], header["vox_offset"] = b"n+1", _HEADER_BYTES
    return bytes(header.binaryblock) + bytes(_HEADER_BYTES - len(header.binaryblock))
