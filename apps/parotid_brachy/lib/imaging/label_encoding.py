"""Label maps as the bytes of a file."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from typing import Any

import nibabel
import nrrd
import numpy as np
from numpy.typing import NDArray

from parotid_brachy.lib.anatomy import Structure
from parotid_brachy.lib.imaging.segments import segment_fields
from parotid_brachy.lib.imaging.volume import Grid

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SCANNER = 1
_COMPRESSION_LEVEL = 4
"""Label maps are nearly empty: higher levels cost time and gain little."""


def nifti_bytes(labels: NDArray[np.uint8], grid: Grid) -> bytes:
    """A gzipped NIfTI-1 file of a label map; the same map gives the same bytes."""
    affine_lps = np.eye(4)
    affine_lps[:3, :3] = grid.matrix
    affine_lps[:3, 3] = grid.origin_lps_mm
    affine_ras = _LPS_TO_RAS @ affine_lps
    image: Any = nibabel.Nifti1Image(labels.transpose(), affine_ras, dtype=np.uint8)  # type: ignore[no-untyped-call]
    image.set_sform(affine_ras, code=_SCANNER)
    image.set_qform(affine_ras, code=_SCANNER, strip_shears=True)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), _COMPRESSION_LEVEL, mtime=0)


def nrrd_bytes(
    labels: NDArray[np.uint8], grid: Grid, *, segments: Sequence[Structure] = ()
) -> bytes:
    """A gzipped NRRD file of a label map, with these structures a 3D Slicer segmentation.

    The same map gives the same bytes.
    """
    header = {
        "space": "left-posterior-superior",
        "kinds": ["domain", "domain", "domain"],
        "space directions": grid.matrix.T,
        "space origin": np.asarray(grid.origin_lps_mm),
        "encoding": "gzip",
    }
    if segments:
        header |= segment_fields(grid, segments)
    buffer = io.BytesIO()
    nrrd.write(
        buffer,
        np.ascontiguousarray(labels),
        header,
        index_order="C",
        compression_level=_COMPRESSION_LEVEL,
    )
    return _without_comments(buffer.getvalue())


def _without_comments(content: bytes) -> bytes:
    """A NRRD file without the comments of its header: pynrrd notes there when it was written."""
    end = content.index(b"\n\n")
    lines = [line for line in content[:end].split(b"\n") if not line.startswith(b"#")]
    return b"\n".join(lines) + content[end:]
