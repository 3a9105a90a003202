"""One CT in all 48 axis orders and flips, and on oblique and anisotropic grids.

Each is written to a file and read back as any input is, then pre-labelled with the side left open
and with each side stated. The side that is proposed must be the native run's, a stated side must
be honoured, and the structures must agree with the native run's on the same grid.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scripts.measure.networks import SHIPPED, Networks, load_networks
from scripts.measure.tables import markdown, write_csv
from tqdm import tqdm

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side
from parotid_brachy.lib.evaluation.overlap import dsc
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.half_head import find_midplane
from parotid_brachy.lib.imaging.sampling import AIR_HU, sample_ct, sample_labels
from parotid_brachy.lib.imaging.volume import Grid, Volume, to_image
from parotid_brachy.lib.segmentation.two_step import TwoStepOptions

ASKED: Final = {"auto": None, "left": Side.LEFT, "right": Side.RIGHT}

OBLIQUE: Final = (
    ("x", (10.0,)),
    ("x", (-20.0,)),
    ("y", (10.0,)),
    ("y", (-25.0,)),
    ("z", (15.0,)),
    ("z", (-25.0,)),
    ("xyz", (10.0, 8.0, -12.0)),
    ("zyx", (25.0, -15.0, 20.0)),
)
"""Axes and degrees by which the grid (not the patient) is turned."""

STRETCHED: Final = ((1.0, 1.0, 2.0), (2.0, 1.0, 1.0), (1.0, 2.5, 1.0))
"""Factors of the native spacing along i, j, k."""


@dataclass(frozen=True)
class Form:
    """One way to store the CT. ``is_exact``: the voxels are the native ones, in another order."""

    name: str
    volume: Volume
    is_exact: bool


def reordered_grid(grid: Grid, order: tuple[int, ...], flips: tuple[bool, ...]) -> Grid:
    """A grid whose axes are the native ones (0 = i) in another order, some of them reversed."""
    size = [grid.size_ijk[axis] for axis in order]
    spacing = [grid.spacing_mm[axis] for axis in order]
    columns = np.asarray(grid.direction).reshape(3, 3)[:, list(order)]
    first = np.zeros(3)
    for axis, flipped in zip(order, flips, strict=True):
        first[axis] = grid.size_ijk[axis] - 1 if flipped else 0
    origin = grid.to_lps_mm(first)
    columns = columns * np.where(flips, -1.0, 1.0)
    return Grid(
        (size[0], size[1], size[2]),
        (spacing[0], spacing[1], spacing[2]),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(float(value) for value in columns.ravel()),
    )


def reordered_array(
    array: NDArray[Any], order: tuple[int, ...], flips: tuple[bool, ...]
) -> NDArray[Any]:
    """An array ``[k, j, i]`` for ``reordered_grid`` of the same order and flips."""
    # Array axis n is index axis 2 - n.
    turned = array.transpose([2 - axis for axis in reversed(order)])
    steps = tuple(slice(None, None, -1 if flipped else 1) for flipped in reversed(flips))
    return np.ascontiguousarray(turned[steps])


def covering_grid(grid: Grid, turn: Rotation, spacing_mm: tuple[float, ...]) -> Grid:
    """A grid with turned axes that holds every voxel of another."""
    axes = turn.as_matrix() @ np.asarray(grid.direction).reshape(3, 3)
    corners = grid.corners_lps_mm() @ axes
    low, high = corners.min(axis=0), corners.max(axis=0)
    spacing = np.asarray(spacing_mm)
    size = np.ceil((high - low) / spacing - 1e-6).astype(int)
    origin = axes @ (low + spacing / 2)
    return Grid(
        (int(size[0]), int(size[1]), int(size[2])),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(float(value) for value in axes.ravel()),
    )


def forms_of(volume: Volume, limit: int | None) -> Iterator[tuple[Form, tuple[Any, ...]]]:
    """All forms, exact ones first, each with its order and flips (empty for the others)."""
    orders = itertools.permutations(range(3))
    flips = list(itertools.product((False, True), repeat=3))
    for order, flip in itertools.islice(itertools.product(orders, flips), limit):
        name = "".join(
            ("-" if f else "+") + "ijk"[axis] for axis, f in zip(order, flip, strict=True)
        )
        grid = reordered_grid(volume.grid, order, flip)
        voxels = reordered_array(volume.voxels, order, flip)
        yield Form(name, Volume(grid, voxels, volume.case), is_exact=True), (order, flip)
    sampled = [
        (f"turned {axes} {'/'.join(f'{d:g}' for d in degrees)}", axes, degrees, (1.0, 1.0, 1.0))
        for axes, degrees in OBLIQUE
    ]
    sampled += [
        (f"spacing x {'/'.join(f'{f:g}' for f in factors)}", "z", (0.0,), factors)
        for factors in STRETCHED
    ]
    sampled.append(("turned xz 15/-20, k spacing x 2", "xz", (15.0, -20.0), (1.0, 1.0, 2.0)))
    for name, axes, degrees, factors in itertools.islice(sampled, limit):
        turn = Rotation.from_euler(axes, degrees, degrees=True)
        spacing = np.asarray(volume.grid.spacing_mm) * factors
        grid = covering_grid(volume.grid, turn, tuple(spacing))
        hu = np.rint(np.maximum(sample_ct(volume, grid), AIR_HU)).astype(np.int16)
        yield Form(name, Volume(grid, hu, volume.case), is_exact=False), ()


def read_back(volume: Volume, folder: Path) -> Volume:
    """The volume after a way through a NIfTI file."""
    path = folder / f"{volume.case}.nii.gz"
    sitk.WriteImage(to_image(volume.voxels, volume.grid), str(path))
    return read_volume(path)


def gland_side(labels: NDArray[np.uint8], grid: Grid, midplane_x_lps_mm: float) -> str:
    """On which side of the native midplane the gland's centre lies."""
    index = np.argwhere(labels == GLAND.value)
    if not len(index):
        return "none"
    centre = grid.to_lps_mm(index.mean(axis=0)[::-1])
    return Side.LEFT.value if centre[0] > midplane_x_lps_mm else Side.RIGHT.value


def measure(
    volume: Volume, networks: Networks, limit: int | None
) -> tuple[list[dict[str, Any]], dict[str, str | None]]:
    """One row per form and question asked, and what the native run proposed."""
    midplane = find_midplane(volume).x_lps_mm
    native = {
        asked: networks.two_step(volume, TwoStepOptions(side=side)) for asked, side in ASKED.items()
    }
    proposed = {asked: run.report.side for asked, run in native.items()}
    rows = []
    total = 48 + len(OBLIQUE) + len(STRETCHED) + 1 if limit is None else 2 * limit
    with tempfile.TemporaryDirectory(prefix="orientations-") as folder:
        for form, how in tqdm(forms_of(volume, limit), total=total, unit="form"):
            stored = read_back(form.volume, Path(folder))
            stored.grid.require_same(form.volume.grid, what=form.name)
            for asked, side in ASKED.items():
                run = networks.two_step(stored, TwoStepOptions(side=side))
                expected = native[asked].labels
                if form.is_exact:
                    mapped = reordered_array(expected, *how)
                else:
                    mapped = sample_labels(expected, volume.grid, stored.grid)
                seen = gland_side(run.labels, stored.grid, midplane)
                agreed = {
                    s.name: dsc(run.labels == s.value, mapped == s.value).value for s in STRUCTURES
                }
                rows.append(
                    {
                        "form": form.name,
                        "exact": form.is_exact,
                        "asked": asked,
                        "side": run.report.side,
                        "gland_lies": seen,
                        "side_right": run.report.side == proposed[asked]
                        and seen in (proposed[asked], "none"),
                        **{k: None if v is None else round(v, 4) for k, v in agreed.items()},
                    }
                )
    return rows, proposed


def summary_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sides that were right and the lowest and mean DSC per structure, exact and sampled forms."""
    summary = []
    for exact, kind in ((True, "axis orders and flips"), (False, "oblique, anisotropic")):
        own = [row for row in rows if row["exact"] is exact]
        for structure in STRUCTURES:
            values = [row[structure.name] for row in own if row[structure.name] is not None]
            if values:
                summary.append(
                    {
                        "forms": kind,
                        "runs": len(own),
                        "side right": sum(row["side_right"] for row in own),
                        "structure": structure.name,
                        "DSC lowest": float(min(values)),
                        "DSC mean": float(np.mean(values)),
                    }
                )
    return summary


def main() -> int:
    """Measures; 1 where a side was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ct", type=Path, help="a CT (NIfTI, NRRD, DICOM folder)")
    parser.add_argument("--models", type=Path, default=SHIPPED, metavar="DIR", help="registry")
    parser.add_argument("--output", type=Path, required=True, metavar="CSV")
    parser.add_argument("--limit", type=int, metavar="N", help="so many forms of each kind")
    args = parser.parse_args()
    networks = load_networks(args.models)
    volume = read_volume(args.ct)
    rows, proposed = measure(volume, networks, args.limit)
    write_csv(args.output, rows)
    wrong = [row for row in rows if not row["side_right"]]
    print(f"\n{volume.case}, {volume.grid.describe()}; {networks.names}")
    print(
        f"native run proposes: {proposed['auto']}; wrong sides: {len(wrong)} of {len(rows)} runs\n"
    )
    print(markdown(summary_rows(rows)))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
