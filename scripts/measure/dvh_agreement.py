"""Histograms beside dicompyler-core's, by DICOM: CT, RTSTRUCT and RTDOSE that we wrote.

dicompyler-core is no dependency of the project: ``pip install --no-deps dicompyler-core==0.5.6``
into the environment that runs this.

    scripts/measure/run dvh_agreement --output DIR
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pydicom
from dicompylercore import dvhcalc
from numpy.typing import NDArray
from scripts.measure.tables import markdown, write_csv

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.dicom.contour_content import ContourContent, Origin
from parotid_brachy.lib.dicom.dose.dose_writing import write_dose
from parotid_brachy.lib.dicom.source_series import read_source_series
from parotid_brachy.lib.dicom.structure_set.writing import structure_set_bytes
from parotid_brachy.lib.dosimetry.dose_grid import LpsBox, dose_grid
from parotid_brachy.lib.dosimetry.dvh import dose_volume_histograms
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.phantom.dicom_series import write_series

_STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_METRICS = ("mean", "max", "D0.1cc", "D1cc", "D2cc")


def _case(number: int) -> tuple[Grid, NDArray[np.uint8], SeedPlan]:
    """Ellipsoids of 1 to 7 ml round a small implant, as organs at risk lie."""
    random = np.random.default_rng(number)
    grid = Grid((112, 112, 45), (0.98, 0.98, 2.0), (-55.0, -55.0, -44.0), _STRAIGHT)
    k, j, i = np.indices(grid.shape_kji)
    points = grid.to_lps_mm(np.stack([i, j, k], axis=-1).astype(np.float64))
    labels = np.zeros(grid.shape_kji, dtype=np.uint8)
    for structure in STRUCTURES:
        away = random.normal(size=3)
        centre = away / np.linalg.norm(away) * random.uniform(22.0, 32.0)
        radii = random.uniform(6.0, 12.0, 3)
        labels[(((points - centre) / radii) ** 2).sum(axis=-1) <= 1.0] = structure.value
    seeds = tuple(Seed(tuple(random.uniform(-5.0, 5.0, 3).tolist()), 0.889) for _ in range(20))
    return grid, labels, SeedPlan(f"case {number}", "6711", seeds)


def _compare(number: int, folder: Path) -> list[dict[str, object]]:
    grid, labels, plan = _case(number)
    write_series(Volume(grid, np.zeros(grid.shape_kji, np.int16), "case"), folder / "ct", seed=1)
    series = read_source_series(folder / "ct")
    made = datetime.now(tz=timezone.utc)
    content = ContourContent("case", Side.LEFT, Origin.CORRECTED, made, reader="reader")
    (folder / "rtstruct.dcm").write_bytes(structure_set_bytes(labels, grid, series, content))
    box = LpsBox((-70.0, -70.0, -60.0), (70.0, 70.0, 60.0))
    dose = dose_grid(plan, load_seed_model("6711"), around=box)
    write_dose(dose, series, folder / "rtdose.dcm", plan_uid="1.2.3", made=made)
    ours = dose_volume_histograms(dose, labels, grid)
    objects = pydicom.dcmread(folder / "rtstruct.dcm")
    rows = []
    regions = zip(objects.StructureSetROISequence, ours.items(), strict=True)
    for region, (structure, found) in regions:
        theirs = dvhcalc.get_dvh(
            objects, pydicom.dcmread(folder / "rtdose.dcm"), int(region.ROINumber)
        )
        values = {
            "mean": (found.dmean_gy, theirs.mean),
            "max": (found.dmax_gy, theirs.max),
            **{
                name: (found.d_hottest_gy(ml), theirs.statistic(name).value)
                for name, ml in (("D0.1cc", 0.1), ("D1cc", 1.0), ("D2cc", 2.0))
            },
        }
        row: dict[str, object] = {"case": number, "structure": structure.name}
        row |= {"ml": found.volume_ml, "their ml": theirs.volume}
        for name, (one, other) in values.items():
            has = one is not None and other
            row[name] = "" if not has else 100.0 * (float(one or 0.0) / float(other) - 1.0)
        rows.append(row)
    return rows


def main() -> None:
    """Compares, and writes a table of per cent."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=5)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(options.count):
        with tempfile.TemporaryDirectory() as folder:
            rows += _compare(number, Path(folder))
    write_csv(options.output / "dvh_agreement.csv", rows)
    summary = []
    for name in _METRICS:
        values = np.abs([float(str(row[name])) for row in rows if row[name] != ""])
        summary.append(
            {
                "metric": name,
                "n": len(values),
                "median difference, %": round(float(np.median(values)), 3),
                "largest, %": round(float(values.max()), 3),
            }
        )
    print(markdown(summary))


if __name__ == "__main__":
    main()
