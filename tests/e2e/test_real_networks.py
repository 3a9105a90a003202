"""The server as it is started, with networks on disk: loaded, compiled, run, answered."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from monailabel.client import MONAILabelClient
from tests.e2e.conftest import OUR_ASGI, UNCHANGED
from tests.segmentation.versions import GLAND_HU, planted_head, planted_registry

from parotid_brachy.lib.anatomy import GLAND, MANDIBULAR_RAMUS
from parotid_brachy.lib.imaging.volume import to_image

pytestmark = pytest.mark.e2e


def test_two_steps_of_real_networks_label_a_study(start_server, tmp_path):
    planted_registry(tmp_path / "models")
    (tmp_path / "studies").mkdir()
    head = planted_head()
    sitk.WriteImage(to_image(head.voxels, head.grid), str(tmp_path / "studies" / "planted.nii.gz"))
    server = start_server(
        *OUR_ASGI, studies=tmp_path / "studies", model_dir=tmp_path / "models", program=UNCHANGED
    )
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
    file, params = client.infer("two_step", "planted", {"result_extension": ".nrrd"})
    assert params["label_names"] == {s.name: s.value for s in (MANDIBULAR_RAMUS, GLAND)}
    assert params["report"]["side"] == "left"
    found = sitk.GetArrayFromImage(sitk.ReadImage(file)) == GLAND.value
    i = np.arange(head.voxels.shape[2])[None, None, :]
    true = (head.voxels == GLAND_HU) & (i >= head.voxels.shape[2] / 2)
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.85


def test_a_client_with_the_usual_temporary_folder_keeps_its_answers(start_server, tmp_path):
    planted_registry(tmp_path / "models")
    (tmp_path / "studies").mkdir()
    head = planted_head()
    sitk.WriteImage(to_image(head.voxels, head.grid), str(tmp_path / "studies" / "planted.nii.gz"))
    server = start_server(
        *OUR_ASGI, studies=tmp_path / "studies", model_dir=tmp_path / "models", program=UNCHANGED
    )
    client = MONAILabelClient(server.url)  # saves where the server's own temporary files go
    files = [
        client.infer("parotid_gland", "planted", {"result_extension": ".nrrd"})[0] for _ in range(3)
    ]
    for file in files:
        assert sitk.GetArrayFromImage(sitk.ReadImage(file)).any()
        Path(file).unlink()
