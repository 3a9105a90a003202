import nibabel
import numpy as np
import pytest
from tests.imaging.heads import grid_of, head
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.nifti_image import write_nifti
from parotid_brachy.lib.imaging.volume import Volume


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (4.0, -7.0, 11.0), (180.0, 0.0, 5.0)])
def test_a_volume_comes_back_on_its_grid(tmp_path, dtype, turn):
    grid = grid_of((40, 44, 20), (5.0, 4.5, 9.0), rotation(*turn), (3.0, 40.0, -900.0))
    volume = Volume(grid, (head(grid).voxels + dtype(0.25)).astype(dtype), "a")
    write_nifti(tmp_path / "a.nii.gz", volume)
    # As nibabel reads it: a reader that is not ours.
    theirs = nibabel.load(tmp_path / "a.nii.gz")
    assert np.array_equal(np.asarray(theirs.dataobj).transpose(), volume.voxels)
    assert theirs.header.get_data_dtype() == dtype
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ theirs.affine
    assert np.allclose(lps[:3, :3], grid.matrix, atol=1e-5)
    assert np.allclose(lps[:3, 3], grid.origin_lps_mm, atol=1e-3)


def test_the_same_volume_gives_the_same_bytes_and_ours_reads_them(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, head())
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    read = read_volume(tmp_path / "a.nii.gz")
    assert read.grid.is_same_as(head().grid, tolerance_mm=1e-3)
    assert np.array_equal(read.voxels, head().voxels)


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_nifti(tmp_path / "a.nii.gz", head())
    assert (tmp_path / "a.nii.gz").read_bytes() == b"mine"


def test_other_numbers_are_refused(tmp_path):
    volume = Volume(head().grid, head().voxels.astype(np.int64), "a")
    with pytest.raises(UsageError, match="int16 or float32"):
        write_nifti(tmp_path / "a.nii.gz", volume)
