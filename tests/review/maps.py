"""Label maps as clients send them, on one small oblique grid."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nrrd
import numpy as np
import SimpleITK as sitk
from tests.imaging.heads import grid_of
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.imaging.volume import Grid, to_image

GRID = grid_of((20, 18, 16), (2.0, 2.1, 2.5), rotation(5.0, -8.0, 20.0), (12.0, -40.0, 600.0))


def all_structures(grid: Grid = GRID):
    """A block of each structure."""
    labels = np.zeros(grid.shape_kji, dtype=np.uint8)
    for structure in STRUCTURES:
        labels[2 * structure.value - 1 : 2 * structure.value + 1, 3:9, 4:11] = structure.value
    return labels


def as_file(array, ending, grid: Grid = GRID):
    """The bytes of a file that ITK writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"label{ending}"
        sitk.WriteImage(to_image(array, grid), str(path), useCompression=ending != ".nii")
        return path.read_bytes()


def as_segmentation(layers, segments, grid: Grid = GRID):
    """The bytes of a segmentation as 3D Slicer writes it: (name, value, layer) of each segment."""
    header = {
        "space": "left-posterior-superior",
        "kinds": ["list", "domain", "domain", "domain"],
        "space directions": np.vstack([np.full(3, np.nan), grid.matrix.T]),
        "space origin": np.asarray(grid.origin_lps_mm),
        "encoding": "gzip",
        "Segmentation_MasterRepresentation": "Binary labelmap",
    }
    for number, (name, value, layer) in enumerate(segments):
        header[f"Segment{number}_ID"] = f"Segment_{number}"
        header[f"Segment{number}_Name"] = name
        header[f"Segment{number}_LabelValue"] = str(value)
        header[f"Segment{number}_Layer"] = str(layer)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "label.seg.nrrd"
        nrrd.write(str(path), np.stack([layer.T for layer in layers]), header)
        return path.read_bytes()


def names_by_value():
    """The list of names that a client sends which numbers by value."""
    return [{"name": one.name, "idx": one.value} for one in STRUCTURES]
