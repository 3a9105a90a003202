import os
import shutil
import subprocess
from collections import Counter

import numpy as np
import pydicom
import pytest
from tests.dicom.deidentification.objects import KEY, deidentifier
from tests.imaging.heads import grid_of, head

from parotid_brachy.lib.dicom.deidentification.file_frame import write_object
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.phantom.dicom_series import write_series


@pytest.fixture
def dciodvfy() -> str:
    found = shutil.which("dciodvfy")
    if found is None:
        message = "dciodvfy is missing: apt-get install dicom3tools"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture
def series(tmp_path):
    drawn = head(grid_of((44, 52, 14), (4.0, 4.0, 9.0)), case="phantom_0001")
    return write_series(drawn, tmp_path / "series", seed=1)


def errors_of(dciodvfy, folder):
    found = Counter()
    for path in folder.glob("*.dcm"):
        done = subprocess.run([dciodvfy, str(path)], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        found.update(line for line in lines if line.startswith("Error"))
    return found


@pytest.mark.parametrize(
    "options", [{}, {"clean_descriptors": False, "retain_device_identity": False}]
)
def test_a_deidentified_series_conforms_and_is_the_same_volume(series, tmp_path, dciodvfy, options):
    folder = tmp_path / "hidden"
    folder.mkdir()
    worker = deidentifier(KEY, **options)
    for path in series.glob("*.dcm"):
        write_object(worker.apply(pydicom.dcmread(path)).dataset, folder)
    assert errors_of(dciodvfy, folder) == errors_of(dciodvfy, series) == {}
    before, after = read_volume(series), read_volume(folder)
    assert np.array_equal(before.voxels, after.voxels)
    assert before.grid == after.grid
