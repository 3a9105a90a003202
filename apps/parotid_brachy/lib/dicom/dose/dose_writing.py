"""A dose as DICOM (RTDOSE, PS3.3 A.18)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.sequence import Sequence as Items
from pydicom.uid import RTDoseStorage, RTPlanStorage

from parotid_brachy.lib.dicom.dose.objects import decimal_string, new_object
from parotid_brachy.lib.dicom.new_files import encoded, item
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.dosimetry.dose_grid import DoseGrid
from parotid_brachy.lib.imaging.atomic import write_atomically

SERIES_NUMBER: Final = 7004
_MOST: Final = 2**32 - 1
_GRID_FRAME_OFFSETS: Final = 0x3004000C


def write_dose(
    dose: DoseGrid, series: SourceSeries, path: Path, *, plan_uid: str, made: datetime
) -> None:
    """Writes a total dose in Gy, 32 bits a voxel, in the CT's frame of reference.

    Args:
        dose: of a plan.
        series: the CT.
        path: of the file.
        plan_uid: SOP instance UID of the RTPLAN that the dose is of.
        made: when it was calculated.

    Raises:
        OSError: it cannot be written; nothing of it is left then.
    """
    grid = dose.grid
    dataset = new_object(RTDoseStorage, "RTDOSE", series, made, number=SERIES_NUMBER)
    dataset.InstanceNumber = 1
    dataset.DoseUnits = "GY"
    dataset.DoseType = "PHYSICAL"
    dataset.DoseSummationType = "PLAN"
    dataset.TissueHeterogeneityCorrection = "WATER"
    dataset.DoseComment = "TG-43, water; research use only"
    plan = item(ReferencedSOPClassUID=RTPlanStorage, ReferencedSOPInstanceUID=plan_uid)
    dataset.ReferencedRTPlanSequence = Items([plan])
    dataset.ImagePositionPatient = [decimal_string(value) for value in grid.origin_lps_mm]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    columns_mm, rows_mm, planes_mm = grid.spacing_mm
    dataset.PixelSpacing = [decimal_string(rows_mm), decimal_string(columns_mm)]
    dataset.SliceThickness = decimal_string(planes_mm)
    dataset.Columns, dataset.Rows, frames = grid.size_ijk
    dataset.NumberOfFrames = frames
    dataset.FrameIncrementPointer = _GRID_FRAME_OFFSETS
    dataset.GridFrameOffsetVector = [decimal_string(k * planes_mm) for k in range(frames)]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 32
    dataset.HighBit = 31
    dataset.PixelRepresentation = 0
    # Half a per cent of head room: the scaling's own rounding never leaves the 32 bits.
    scaling = decimal_string(max(float(dose.gy.max()) * 1.005, 1e-6) / _MOST)
    dataset.DoseGridScaling = scaling
    stored = np.rint(dose.gy.astype(np.float64) / float(scaling)).astype("<u4")
    dataset.PixelData = stored.tobytes()
    write_atomically(path, encoded(dataset))
