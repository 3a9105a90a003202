"""What 3D Slicer's and the Python client's own code get from a running server."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from parotid_brachy.lib.anatomy import label_values

pytestmark = pytest.mark.e2e


def test_models_are_listed_with_labels_and_options(client):
    info = client.info()
    assert list(info["models"]) == ["two_step", "parotid_gland", "organs_at_risk", "contours"]
    two_step = info["models"]["two_step"]
    assert two_step["type"] == "segmentation"
    assert two_step["dimension"] == 3
    assert two_step["labels"] == label_values()
    assert two_step["config"] == {
        "side": ["auto", "left", "right"],
        "keep_beyond_reach": False,
        "gland_model": ["painted-1", "painted-2"],
        "organs_at_risk_model": ["painted-1", "painted-2"],
    }
    assert info["models"]["parotid_gland"]["labels"] == {"parotid_gland": 7}


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd"])
@pytest.mark.parametrize(("case", "side"), [("operated_left", "left"), ("operated right", "right")])
def test_two_step_gives_seven_structures_on_the_images_grid(client, server, ending, case, side):
    file, params = client.infer("two_step", case, {"result_extension": ending})
    assert file.endswith(ending)
    assert params["label_names"] == label_values()
    assert params["report"]["side"] == side
    assert params["report"]["side_source"] == "guessed"
    assert set(params["report"]["gland_ml_by_side"]) == {"left", "right"}
    assert params["report"]["models"] == {"gland": "painted-1", "organs_at_risk": "painted-1"}

    (image_file,) = server.studies.glob(f"{case}.*")
    image, labels = sitk.ReadImage(str(image_file)), sitk.ReadImage(file)
    assert labels.GetSize() == image.GetSize()
    assert labels.GetSpacing() == pytest.approx(image.GetSpacing(), abs=1e-5)
    assert labels.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-4)
    assert labels.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-6)
    hu, values = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(labels)
    for value in label_values().values():
        own = values == value
        painted = hu == 100 * value + 100
        half = np.arange(hu.shape[2])[None, None, :] >= hu.shape[2] / 2
        painted &= half if side == "left" else ~half
        overlap = 2 * (own & painted).sum() / (own.sum() + painted.sum())
        assert overlap > 0.6, f"structure {value}"


def test_slicers_segmentation_carries_names_and_colours(client):
    file, _ = client.infer("two_step", "operated_left", {"result_extension": ".seg.nrrd"})
    image = sitk.ReadImage(file)
    named = {
        image.GetMetaData(f"Segment{n}_Name"): int(image.GetMetaData(f"Segment{n}_LabelValue"))
        for n in range(7)
    }
    assert named == label_values()
    assert image.HasMetaDataKey("Segment0_Color")


def test_the_draft_is_kept_under_original(client):
    file, params = client.infer("two_step", "operated_left", {"result_extension": ".nrrd"})
    kept = client.datastore()["objects"]["operated_left"]["labels"]["original"]
    assert kept["info"]["model"] == "two_step"
    assert kept["info"]["params"] == params
    draft = sitk.ReadImage(client.download_label("operated_left", "original"))
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(draft), sitk.GetArrayFromImage(sitk.ReadImage(file))
    )


def test_a_stated_side_is_obeyed(client):
    _, params = client.infer("two_step", "operated_left", {"side": "right"})
    assert params["report"]["side"] == "right"
    assert params["report"]["side_source"] == "given"


def test_a_named_version_is_used(client):
    _, params = client.infer("parotid_gland", "operated_left", {"gland_model": "painted-2"})
    assert params["report"]["models"] == {"gland": "painted-2"}
    assert params["label_names"] == {"parotid_gland": 7}


def test_organs_follow_a_gland_that_the_reader_submitted(client):
    gland, _ = client.infer("parotid_gland", "operated right", {})
    client.save_label("operated right", gland, tag="final", params={"label_info": []})
    file, params = client.infer("organs_at_risk", "operated right", {})
    assert params["label_names"] == label_values()
    was = sitk.GetArrayFromImage(sitk.ReadImage(gland)) == 7
    now = sitk.GetArrayFromImage(sitk.ReadImage(file)) == 7
    np.testing.assert_array_equal(now, was)


def test_organs_follow_a_gland_that_is_sent_along(client):
    gland, _ = client.infer("parotid_gland", "operated_left", {"save_label": False})
    _, params = client.infer("organs_at_risk", "operated_left", {}, label_in=gland)
    assert params["report"]["side"] == "left"
    assert len(params["label_names"]) == 7


def test_an_uploaded_image_is_labelled_without_a_case(client, server):
    path = server.studies / "operated_left.nii.gz"
    before = client.datastore()["objects"].keys()
    _, params = client.infer("two_step", "", {}, file=str(path))
    assert len(params["label_names"]) == 7
    assert client.datastore()["objects"].keys() == before


def test_a_session_is_labelled(client, server):
    image = server.studies / "operated_left.nii.gz"
    session = client.create_session(str(image))["session_id"]
    _, params = client.infer("two_step", "", {}, session_id=session)
    assert len(params["label_names"]) == 7


def test_the_next_case_to_label_is_offered(client, server):
    sample = client.next_sample("random", {})
    assert Path(sample["path"]).parent == server.studies
