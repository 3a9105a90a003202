"""One label map as DICOM SEG and RTSTRUCT, read back by programs that are not ours.

Each structure's mask is compared with the label map's: the segmentation as highdicom and dcmqi's
own reader give it, the structure set as plastimatch (apt-get install plastimatch) and
dcmrtstruct2nii give it. Install the latter into an environment of its own (pip install
dcmrtstruct2nii==5 'pydicom<3' 'numpy<2') and name that environment's Python. dciodvfy checks both
objects.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import highdicom
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scripts.measure.tables import markdown, write_csv

from parotid_brachy.lib.anatomy import STRUCTURES, Side, Structure
from parotid_brachy.lib.dicom.contour_content import ContourContent, Origin
from parotid_brachy.lib.dicom.exporting import ExportedObjects, export_case
from parotid_brachy.lib.dicom.segmentation.dcmqi import Tool, find_tool
from parotid_brachy.lib.dicom.segmentation.reading import read_segmentation
from parotid_brachy.lib.dicom.source_series import SourceSeries, read_source_series
from parotid_brachy.lib.dicom.structure_names import planning_name
from parotid_brachy.lib.dicom.structure_set.reading import read_structure_set
from parotid_brachy.lib.evaluation.overlap import dsc
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.gland_side import side_of_gland
from parotid_brachy.lib.imaging.volume import Grid, to_image

Masks = dict[Structure, NDArray[np.bool_]]

_DCMRTSTRUCT2NII: Final = """
import sys
from dcmrtstruct2nii import dcmrtstruct2nii
dcmrtstruct2nii(sys.argv[1], sys.argv[2], sys.argv[3], gzip=True, convert_original_dicom=False)
"""


def by_our_segmentation_reader(done: ExportedObjects, series: SourceSeries, _: Side) -> Masks:
    """What :func:`read_segmentation` gives."""
    labels = read_segmentation(done.seg, series).labels
    return {one: labels == one.value for one in done.structures}


def by_our_structure_set_reader(done: ExportedObjects, series: SourceSeries, _: Side) -> Masks:
    """What :func:`read_structure_set` gives."""
    labels = read_structure_set(done.rtstruct, series).labels
    return {one: labels == one.value for one in done.structures}


def by_highdicom(done: ExportedObjects, series: SourceSeries, _: Side) -> Masks:
    """Each segment by the slices that its frames refer to."""
    seg = highdicom.seg.segread(str(done.seg))
    pixels = seg.get_pixels_by_source_instance(
        list(series.instance_uids),
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    labels = [seg.get_segment_description(n).segment_label for n in seg.segment_numbers]
    return {
        one: pixels[..., labels.index(one.name)] > 0 for one in STRUCTURES if one.name in labels
    }


def by_dcmqi(done: ExportedObjects, series: SourceSeries, _: Side) -> Masks:
    """One file for each segment, told by its number, which follows the structures' order."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(find_tool(Tool.READ)), "--inputDICOM", str(done.seg)]
        command += ["--outputDirectory", folder, "-p", "s", "-t", "nrrd"]
        subprocess.run(command, check=True, capture_output=True)
        return {
            one: resampled(Path(folder) / f"s-{number}.nrrd", series.grid)
            for number, one in enumerate(done.structures, start=1)
        }


def by_plastimatch(done: ExportedObjects, series: SourceSeries, side: Side) -> Masks:
    """One image for each region, on the CT's own grid."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["plastimatch", "convert", "--input", str(done.rtstruct)]
        command += ["--referenced-ct", str(series.slices[0].path.parent)]
        command += ["--output-prefix", folder, "--prefix-format", "nrrd"]
        subprocess.run(command, check=True, capture_output=True)
        return named(Path(folder), "{}.nrrd", done, series, side)


def by_dcmrtstruct2nii(python: Path) -> Callable[[ExportedObjects, SourceSeries, Side], Masks]:
    """A reader that runs in another environment."""

    def read(done: ExportedObjects, series: SourceSeries, side: Side) -> Masks:
        with tempfile.TemporaryDirectory() as folder:
            ct = str(series.slices[0].path.parent)
            command = [str(python), "-c", _DCMRTSTRUCT2NII, str(done.rtstruct), ct, f"{folder}/out"]
            subprocess.run(command, check=True, capture_output=True)
            return named(Path(folder) / "out", "mask_{}.nii.gz", done, series, side)

    return read


def named(
    folder: Path, pattern: str, done: ExportedObjects, series: SourceSeries, side: Side
) -> Masks:
    """The masks of files that are called as the regions are."""
    found = {}
    for one in done.structures:
        path = folder / pattern.format(planning_name(one, side))
        if path.is_file():
            found[one] = resampled(path, series.grid)
    return found


def resampled(path: Path, grid: Grid) -> NDArray[np.bool_]:
    """A mask's file on a grid by nearest neighbour; 0 outside of what the file covers."""
    image = sitk.ReadImage(str(path))
    reference = to_image(np.zeros(grid.shape_kji, np.uint8), grid)
    nearest = sitk.Resample(image, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    return np.asarray(sitk.GetArrayFromImage(nearest) > 0)


def errors_of(path: Path) -> list[str]:
    """What dciodvfy finds wrong."""
    command = ["dciodvfy", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return re.findall(r"^Error.*$", done.stdout + done.stderr, re.MULTILINE)


def main() -> int:
    """Measures; 1 where an object is in error or a reader found other voxels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", type=Path, help="folder of one CT series")
    parser.add_argument("labels", type=Path, nargs="+", help="label maps on its grid")
    parser.add_argument("--dcmrtstruct2nii", type=Path, metavar="PYTHON", help="where it is")
    parser.add_argument("--output", type=Path, required=True, metavar="CSV")
    args = parser.parse_args()
    readers: dict[str, Callable[[ExportedObjects, SourceSeries, Side], Masks]] = {
        "SEG ours": by_our_segmentation_reader,
        "SEG highdicom": by_highdicom,
        "SEG dcmqi": by_dcmqi,
        "RTSTRUCT ours": by_our_structure_set_reader,
    }
    if shutil.which("plastimatch"):
        readers["RTSTRUCT plastimatch"] = by_plastimatch
    if args.dcmrtstruct2nii:
        readers["RTSTRUCT dcmrtstruct2nii"] = by_dcmrtstruct2nii(args.dcmrtstruct2nii)
    series = read_source_series(args.series)
    volume = read_volume(args.series)
    rows: list[dict[str, Any]] = []
    faults = 0
    for path in args.labels:
        labels = read_label_map(path, series.grid)
        side = side_of_gland(labels, volume)
        own, errors = measured(path, labels, args.series, series, side, readers)
        rows += own
        faults += len(errors) + sum(row[name] != 1.0 for row in own for name in readers)
        for error in errors:
            print(f"{path.name}: {error}", file=sys.stderr)
    write_csv(args.output, rows)
    shown = [
        {k: f"{v:.6f}" if isinstance(v, float) and k in readers else v for k, v in row.items()}
        for row in rows
    ]
    print(f"\n{series.name}: {series.grid.describe()}\n")
    print(markdown(shown))
    return 1 if faults else 0


def measured(
    path: Path,
    labels: NDArray[np.uint8],
    folder: Path,
    series: SourceSeries,
    side: Side,
    readers: dict[str, Callable[[ExportedObjects, SourceSeries, Side], Masks]],
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each structure, with its DSC by each reader; and dciodvfy's errors."""
    content = ContourContent(
        path.name.split(".")[0], side, Origin.DRAFT, datetime.now(timezone.utc)
    )
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        done = export_case(labels, series.grid, folder, Path(name), content)
        print(f"{path.name}: exported in {time.perf_counter() - start:.1f} s", file=sys.stderr)
        errors = [*errors_of(done.seg), *errors_of(done.rtstruct)]
        print(f"{path.name}: dciodvfy finds {len(errors)} errors", file=sys.stderr)
        masks = {reader: read(done, series, side) for reader, read in readers.items()}
    rows = []
    for one in done.structures:
        own = labels == one.value
        row: dict[str, Any] = {
            "map": path.name.split(".")[0],
            "structure": one.name,
            "voxels": int(own.sum()),
        }
        for reader, found in masks.items():
            row[reader] = dsc(own, found[one]).value if one in found else None
        rows.append(row)
    return rows, errors


if __name__ == "__main__":
    raise SystemExit(main())
