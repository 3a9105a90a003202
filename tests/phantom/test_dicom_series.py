import os
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from tests.phantom.drawn import operated

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.volume import Grid, Volume
from parotid_brachy.lib.phantom.dicom_series import write_series
from parotid_brachy.lib.phantom.files import ImageFormat, write_phantom


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    phantom = operated(2, Side.LEFT)
    return phantom, write_phantom(phantom, folder, ImageFormat.DICOM)


@pytest.fixture
def dciodvfy() -> str:
    found = shutil.which("dciodvfy")
    if found is None:
        message = "dciodvfy is missing: apt-get install dicom3tools"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def test_every_slice_conforms_to_the_standard(series, dciodvfy):
    _, folder = series
    paths = sorted(folder.glob("*.dcm"))
    for path in (paths[0], paths[len(paths) // 2], paths[-1]):
        done = subprocess.run([dciodvfy, str(path)], capture_output=True, text=True, check=False)
        said = [line for line in (done.stdout + done.stderr).splitlines() if line != "CTImage"]
        assert said == []


def test_it_is_read_back_as_it_was_drawn(series):
    phantom, folder = series
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    volume = Volume.of(reader.Execute(), case="read")
    assert np.array_equal(volume.voxels, phantom.volume.voxels)
    assert volume.grid.is_same_as(phantom.volume.grid, tolerance_mm=1e-3)


def test_our_own_reader_takes_it(series):
    phantom, folder = series
    volume = read_volume(folder)
    assert np.array_equal(volume.voxels, phantom.volume.voxels)
    assert volume.grid.is_same_as(phantom.volume.grid, tolerance_mm=1e-3)


def test_one_study_one_series_and_an_instance_for_each_slice(series):
    phantom, folder = series
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.glob("*.dcm")]
    assert len(headers) == phantom.volume.grid.size_ijk[2]
    assert len({header.StudyInstanceUID for header in headers}) == 1
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    assert len({header.SOPInstanceUID for header in headers}) == len(headers)
    assert {str(header.PatientName) for header in headers} == {"PHANTOM^0002"}
    assert max(len(header.SOPInstanceUID) for header in headers) <= 64


def test_the_same_phantom_gives_the_same_files(tmp_path):
    grid = Grid((6, 5, 2), (1.0, 1.0, 2.0), (0.5, -3.25, 7.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    voxels = np.arange(60, dtype=np.int16).reshape(grid.shape_kji)
    volume = Volume(grid, voxels, "phantom_0001")
    first, second = (write_series(volume, tmp_path / name, seed=1) for name in ("a", "b"))
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
    other = Volume(grid, voxels + np.int16(1), "phantom_0001")
    third = write_series(other, tmp_path / "c", seed=1)
    uids = {
        pydicom.dcmread(folder / "0001.dcm").StudyInstanceUID for folder in (first, second, third)
    }
    assert len(uids) == 2
