"""Seeds as a DICOM plan (RTPLAN of a permanent implant, PS3.3 A.20)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import RTPlanStorage

from parotid_brachy.lib.dicom.dose.objects import decimal_string, new_object
from parotid_brachy.lib.dicom.new_files import date_and_time, encoded, item
from parotid_brachy.lib.dicom.source_series import SourceSeries
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import SeedModel
from parotid_brachy.lib.imaging.atomic import write_atomically

SERIES_NUMBER: Final = 7003
LABEL: Final = "PAROTID_SEEDS"
"""RT Plan Label: at most 16 characters."""


def write_plan(
    plan: SeedPlan,
    model: SeedModel,
    series: SourceSeries,
    path: Path,
    *,
    made: datetime,
    isotope: str = "I-125",
) -> str:
    """Writes a plan: one channel with two control points for each seed.

    Args:
        plan: the seeds.
        model: theirs.
        series: the CT that they were planned on.
        path: of the file.
        made: the plan's date, and that of the seeds' strengths.
        isotope: name of the nuclide.

    Returns:
        The plan's SOP instance UID, for a dose to refer to.

    Raises:
        OSError: it cannot be written; nothing of it is left then.
    """
    dataset = new_object(RTPlanStorage, "RTPLAN", series, made, number=SERIES_NUMBER)
    date, time = date_and_time(made)
    dataset.InstanceNumber = 1
    dataset.RTPlanLabel = LABEL
    dataset.RTPlanDate, dataset.RTPlanTime = date, time
    dataset.RTPlanDescription = "Study purposes, research use only"
    # PATIENT would oblige to refer to a structure set, which a table of seeds has not.
    dataset.RTPlanGeometry = "TREATMENT_DEVICE"
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.BrachyTreatmentTechnique = "PERMANENT"
    dataset.BrachyTreatmentType = "MANUAL"
    dataset.TreatmentMachineSequence = Items([item(TreatmentMachineName="")])
    strengths = sorted({seed.air_kerma_strength_u for seed in plan.seeds})
    dataset.SourceSequence = Items(
        [
            _source(number, strength, model, isotope, date, time)
            for number, strength in enumerate(strengths, start=1)
        ]
    )
    channels = [
        _channel(number, seed, strengths.index(seed.air_kerma_strength_u) + 1)
        for number, seed in enumerate(plan.seeds, start=1)
    ]
    # Per channel: air-kerma rate x mean life, uGy at 1 m.
    total = plan.total_strength_u * model.mean_life_h
    setup = item(
        ApplicationSetupType="OTHER",
        ApplicationSetupNumber=1,
        TotalReferenceAirKerma=decimal_string(total),
        ChannelSequence=Items(channels),
    )
    dataset.ApplicationSetupSequence = Items([setup])
    dataset.FractionGroupSequence = Items(
        [
            item(
                FractionGroupNumber=1,
                NumberOfFractionsPlanned=1,
                NumberOfBeams=0,
                NumberOfBrachyApplicationSetups=1,
                ReferencedBrachyApplicationSetupSequence=Items(
                    [item(ReferencedBrachyApplicationSetupNumber=1)]
                ),
            )
        ]
    )
    write_atomically(path, encoded(dataset))
    return str(dataset.SOPInstanceUID)


def _source(
    number: int, strength: float, model: SeedModel, isotope: str, date: str, time: str
) -> Dataset:
    return item(
        SourceNumber=number,
        SourceType="LINE",
        SourceModelID=model.key[:16],
        SourceDescription=model.name[:64],
        ActiveSourceLength=decimal_string(model.active_length_cm * 10.0),
        SourceIsotopeName=isotope,
        SourceIsotopeHalfLife=decimal_string(model.half_life_days),
        SourceStrengthUnits="AIR_KERMA_RATE",
        SourceStrength=decimal_string(strength),
        ReferenceAirKermaRate=decimal_string(strength),
        SourceStrengthReferenceDate=date,
        SourceStrengthReferenceTime=time,
    )


def _channel(number: int, seed: Seed, source: int) -> Dataset:
    points = []
    for index, weight in enumerate((0, 1)):
        point = item(
            ControlPointIndex=index,
            CumulativeTimeWeight=weight,
            ControlPointRelativePosition=0,
            ControlPoint3DPosition=[decimal_string(value) for value in seed.position_lps_mm],
        )
        if seed.direction_lps is not None:
            point.ControlPointOrientation = list(seed.direction_lps)
        points.append(point)
    return item(
        ChannelNumber=number,
        ChannelLength=None,
        TransferTubeNumber=None,
        # A permanent seed stays for ever; the standard wants some time (s).
        ChannelTotalTime=1,
        SourceMovementType="FIXED",
        ReferencedSourceNumber=source,
        NumberOfControlPoints=len(points),
        FinalCumulativeTimeWeight=1,
        BrachyControlPointSequence=Items(points),
    )
