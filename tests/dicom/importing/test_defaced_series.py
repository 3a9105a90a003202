import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless
from tests.dicom.importing.series import write
from tests.imaging.damage_dicom import series_head, whole_series
from tests.imaging.heads import positions_of

from parotid_brachy.lib.anatomy import GLAND, REACH_MM
from parotid_brachy.lib.dicom.importing.conversion import SeriesToConvert, convert
from parotid_brachy.lib.dicom.importing.defaced_series import deface_converted
from parotid_brachy.lib.dicom.importing.defaced_slices import write_defaced
from parotid_brachy.lib.dicom.importing.identity import AsItIs
from parotid_brachy.lib.dicom.importing.limits import IMPORT_LIMITS
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.dicom_series import read_series
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.limits import CT_LIMITS


def converted_to(folder, tmp_path, change=None):
    folder.mkdir()
    source = write(tmp_path / "source", whole_series(change))
    wanted = SeriesToConvert("series 2", sorted(source.iterdir()))
    converted = convert(wanted, folder, AsItIs(), IMPORT_LIMITS, lambda *_: None)
    shutil.rmtree(source)
    return converted


def both_glands(volume):
    lps = positions_of(volume.grid)
    labels = np.zeros(volume.grid.shape_kji, np.uint8)
    for side in (-1, 1):
        labels[((lps - (side * 58, 10, -20)) ** 2).sum(axis=-1) < 12**2] = GLAND.value
    return labels


def packed(one, k):
    del k
    one.compress(RLELossless)


@pytest.mark.parametrize("change", [None, packed], ids=["plain", "compressed"])
def test_slices_and_image_lose_the_face_and_keep_what_is_within_reach(tmp_path, change):
    folder = tmp_path / "incoming"
    converted = converted_to(folder, tmp_path, change)
    before = series_head()
    done = deface_converted(converted, folder, both_glands, name="series 2", limits=IMPORT_LIMITS)
    assert done == replace(converted, defacing=done.defacing)
    assert done.defacing.endswith("by both glands of the label map")
    image = read_volume(folder / "image.nii.gz")
    grid, slices = read_series(folder / "series", CT_LIMITS)
    assert grid.is_same_as(before.grid, tolerance_mm=1e-3)
    assert np.array_equal(slices, image.voxels)
    lps = positions_of(before.grid)
    glands = lps[both_glands(before) == GLAND.value]
    nearest = np.min([((lps - one) ** 2).sum(axis=-1) for one in glands], axis=0)
    near = nearest <= REACH_MM**2
    assert near.sum() > 50
    assert np.array_equal(slices[near], before.voxels[near])
    changed = slices != before.voxels
    assert changed.sum() > 200
    assert set(slices[changed]) == {-1000}
    assert lps[changed][:, 1].max() < 10, "behind the glands nothing changes"
    one = pydicom.dcmread(folder / "series" / "0007.dcm")
    assert not one.file_meta.TransferSyntaxUID.is_compressed
    assert one.ImageType[0] == "DERIVED"
    assert "face" in str(one.DeidentificationMethod)


def test_without_a_gland_nothing_says_what_must_stay(tmp_path):
    folder = tmp_path / "incoming"
    converted = converted_to(folder, tmp_path)
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputRefusedError, match="no parotid gland was found"):
        deface_converted(
            converted,
            folder,
            lambda volume: np.zeros(volume.grid.shape_kji, np.uint8),
            name="series 2",
            limits=IMPORT_LIMITS,
        )
    assert {path: path.read_bytes() for path in kept} == kept


def test_pixels_that_cannot_hold_air_are_refused(tmp_path):
    def from_zero(one, k):
        # Stored values from 0 for -900 HU: there is no value for air.
        stored = np.maximum(
            one.pixel_array.astype(int) * one.RescaleSlope + one.RescaleIntercept, -900
        )
        one.PixelRepresentation, one.RescaleIntercept = 0, -900
        one.PixelData = (stored + 900).astype("<u2").tobytes()

    folder = tmp_path / "incoming"
    converted_to(folder, tmp_path, from_zero)
    shape = read_volume(folder / "image.nii.gz").grid.shape_kji
    with pytest.raises(InputRefusedError, match="cannot hold air"):
        write_defaced(folder, np.ones(shape, bool), "series 2")


def test_a_mask_of_another_grid_is_refused(tmp_path):
    folder = tmp_path / "incoming"
    converted_to(folder, tmp_path)
    with pytest.raises(GeometryError, match="a mask of shape"):
        write_defaced(folder, np.ones((3, 4, 5), bool), "series 2")
