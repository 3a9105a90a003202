"""A whole review by stock clients: 3D Slicer's MONAI Label, OHIF, and the MONAILabelReviewer.

The Reviewer's own classes are driven as its module drives them; comments name its methods. What
the module asks 3D Slicer for (showing images, saving the edited segmentation to a file) is done
here as Slicer does it.
"""

import json
from pathlib import Path

import nrrd
import numpy as np
import pytest
import requests
import SimpleITK as sitk
from scripts.measure.stock_clients import reviewer_library, slicer_library
from tests.e2e.conftest import OUR_ASGI, write_registry, write_studies

from parotid_brachy.lib.anatomy import GLAND, MANDIBULAR_RAMUS, SKIN, label_values
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.review.readers import ReadersFile
from parotid_brachy.lib.review.roles import Role

pytestmark = pytest.mark.e2e

READER, SENIOR = "Ada", "Dr. Brown"
PASSWORD = "gland and mandible"
LEFT, RIGHT = "operated_left", "operated right"
WAYS = pytest.mark.parametrize("served", [OUR_ASGI, ()], ids=["our-asgi", "plain"], indirect=True)


@pytest.fixture(scope="module")
def reviewer_module():
    """The Reviewer's package as its plugin folder has it."""
    return reviewer_library()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Painted model versions."""
    root = tmp_path_factory.mktemp("models")
    write_registry(root)
    return root


@pytest.fixture(scope="module")
def serve(start_server, tmp_path_factory, models):
    """Starts a server over two painted cases with a readers file."""

    def start(*arguments):
        studies = write_studies(tmp_path_factory.mktemp("review") / "my studies")
        readers = ReadersFile(studies / ".parotid" / "readers.json")
        readers.add(READER, Role.ANNOTATOR, PASSWORD)
        readers.add(SENIOR, Role.REVIEWER, PASSWORD)
        reviewer = ("--conf", "loopback_reviewer", SENIOR)
        return start_server(*arguments, *reviewer, studies=studies, model_dir=models)

    return start


@pytest.fixture(scope="module")
def served(request, serve):
    return serve(*request.param)


class ReviewerModule:
    """The Reviewer's module without its widgets: the same calls to the same classes."""

    def __init__(self, library, url, folder):
        self.controller = library.ImageDataController()
        self.folder = folder
        assert self.controller.connectToMonaiServer(url)
        self.reload()

    def reload(self):
        """``processDataStoreRecords``"""
        assert self.controller.initMetaDataProcessing()

    def lists(self, reader=None, *, is_segmented=True, is_approved=False, is_flagged=False):
        """``loadImageDataWithFilter``"""
        self.reload()
        if reader is not None:
            found = self.controller.getImageDataByClientId(reader, is_approved, is_flagged)
        else:
            found = self.controller.getAllImageData(
                is_segmented, not is_segmented, is_approved, is_flagged
            )
        return [image_data.getName() for image_data in found]

    def image_data(self, case):
        self.reload()
        return self.controller.getMultImageDataByIds([case])[case]

    def segmentation(self, case, tag):
        """``loadDicomAndSegmentation``: the file that Slicer opens."""
        image_data = self.image_data(case)
        image = requests.get(self.controller.getDicomDownloadUri(case), timeout=30)
        assert image.status_code == 200
        response = self.controller.reuqestSegmentation(case, tag)
        assert response is not None, f"no segmentation {tag} of {case}"
        path = self.folder / image_data.getSegmentationFileName()
        path.write_bytes(response.content)
        return path

    def says(self, case, tag, *, status="", level="", comment=""):
        """``updateLabelInfo``, by which "next" keeps what was said about an image"""
        image_data = self.image_data(case)
        said = {"status": status, "level": level, "approvedBy": SENIOR, "comment": comment}
        if image_data.isEqualSegmentationMeta(tag=tag, **said):
            return
        image_data.updateSegmentationMetaByVerionTag(tag=tag, **said)
        self.controller.updateLabelInfoOfAllVersionTags(
            imageData=image_data,
            versionTag=tag,
            level=level,
            updatedMetaJson=image_data.getMetaByVersionTag(tag=tag),
        )

    def saves_new_version(self, case, path, *, level="", comment=""):
        """``updateAfterEditingSegmentation`` and ``persistEditedSegmentation``"""
        image_data = self.image_data(case)
        tag = image_data.getNewVersionName()
        image_data.updateSegmentationMetaByVerionTag(
            tag=tag, status="", level=level, approvedBy=SENIOR, comment=comment
        )
        self.controller.saveLabelInMonaiServer(
            case, str(path), tag, image_data.obtainUpdatedParams(tag)
        )
        return tag


def saved_by_slicer(path, labels, image, names):
    """A segmentation as Slicer's ``saveNode`` writes it: names in the header, values as it likes.

    Args:
        labels: shape (k, j, i), values 1, 2, ... in the order of ``names``.
    """
    header = {
        "type": "unsigned char",
        "dimension": 3,
        "space": "left-posterior-superior",
        "sizes": np.array(image.GetSize()),
        "space directions": (
            np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        ).T,
        "kinds": ["domain", "domain", "domain"],
        "encoding": "gzip",
        "space origin": np.array(image.GetOrigin()),
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|Closed surface|",
        "Segmentation_ConversionParameters": "Smoothing factor|0.5|smooths&",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    extent = " ".join(f"0 {size - 1}" for size in image.GetSize())
    for number, name in enumerate(names):
        header |= {
            f"Segment{number}_Color": "0.5 0.682353 0.501961",
            f"Segment{number}_ColorAutoGenerated": "0",
            f"Segment{number}_Extent": extent,
            f"Segment{number}_ID": f"Segment_{number + 1}",
            f"Segment{number}_LabelValue": str(number + 1),
            f"Segment{number}_Layer": "0",
            f"Segment{number}_Name": name,
            f"Segment{number}_NameAutoGenerated": "0",
            f"Segment{number}_Tags": "TerminologyEntry:Segmentation category and type - 3D Slicer "
            "General Anatomy list~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~Anatomic codes - "
            "DICOM master list~^^~^^|Segmentation.Status:inprogress|",
        }
    nrrd.write(str(path), labels.astype(np.uint8), header, index_order="C")
    return path


def slicer(server, folder, reader=READER):
    return slicer_library().MONAILabelClient(server.url, str(folder), client_id=reader)


def refusal(call, *arguments):
    """What the client tells its user when the server refuses."""
    with pytest.raises(slicer_library().MONAILabelClientException) as refused:
        call(*arguments)
    return refused.value.msg


def labels_of(server, case, path):
    (image,) = server.studies.glob(f"{case}.n*")
    return read_label_map(Path(path), read_volume(image).grid)


def edited(server, case, path, structure, where):
    """A label map file in which somebody has given some voxels to a structure."""
    labels = labels_of(server, case, path)
    labels[where] = structure.value
    return labels


def submits_from_slicer(server, folder, case, *, client=None):
    """Reader 1: the model's draft, corrected, submitted as Slicer exports it."""
    client = client or slicer(server, folder)
    draft, _ = client.infer("two_step", case, {"result_extension": ".nrrd"})
    labels = edited(server, case, draft, SKIN, np.s_[2:4, 2:4, 2:6])
    image = sitk.ReadImage(draft)
    # Slicer exports segments in the order of its list, as 1, 2, ... with their names beside.
    names = sorted(label_values(), reverse=True)
    exported = np.zeros_like(labels)
    for number, name in enumerate(names, start=1):
        exported[labels == label_values()[name]] = number
    out = sitk.GetImageFromArray(exported)
    out.CopyInformation(image)
    path = folder / "labelmap.nii.gz"
    sitk.WriteImage(out, str(path))
    label_info = [{"name": name, "idx": number} for number, name in enumerate(names, start=1)]
    client.save_label(case, str(path), params={"label_info": label_info})
    return labels


def state_of(server, case, **headers):
    answer = requests.get(f"{server.url}/review/cases/{case}", timeout=30, **headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@WAYS
def test_a_whole_review_by_stock_clients(served, reviewer_module, tmp_path):
    submitted = submits_from_slicer(served, tmp_path, LEFT)
    module = ReviewerModule(reviewer_module, served.url, tmp_path)
    assert module.controller.getClientIds() == [READER]
    assert module.lists(READER) == [LEFT]
    assert module.lists(is_segmented=False) == [RIGHT]
    assert module.image_data(LEFT).getStatus() == ""
    np.testing.assert_array_equal(
        labels_of(served, LEFT, module.segmentation(LEFT, "final")), submitted
    )

    # The senior sends it back; reader 1 submits again.
    module.says(LEFT, "final", status="flagged", level="hard", comment="the condyle is too small")
    image_data = module.image_data(LEFT)
    assert image_data.isFlagged()
    assert image_data.getComment() == "the condyle is too small"
    assert module.controller.getReviewers() == [SENIOR]
    assert module.lists(is_flagged=True) == [LEFT]
    assert state_of(served, LEFT)["state"] == "returned"
    submitted = submits_from_slicer(served, tmp_path, LEFT)
    assert state_of(served, LEFT)["state"] == "submitted"
    assert not module.image_data(LEFT).isFlagged()

    # The senior corrects it as a new version, as Slicer saves an edited segmentation.
    path = module.segmentation(LEFT, "final")
    labels = edited(served, LEFT, path, MANDIBULAR_RAMUS, np.s_[2:5, 8:12, 2:9])
    names = sorted(label_values())
    values = np.zeros_like(labels)
    for number, name in enumerate(names, start=1):
        values[labels == label_values()[name]] = number
    image = sitk.ReadImage(str(path))
    correction = saved_by_slicer(tmp_path / "edited.nrrd", values, image, names)
    tag = module.saves_new_version(LEFT, correction, level="medium", comment="ramus added")
    assert tag == "version_1"
    assert list(module.image_data(LEFT).getVersionNames())[-2:] == ["final", "version_1"]
    assert module.image_data(LEFT).getComment("version_1") == "ramus added"
    np.testing.assert_array_equal(
        labels_of(served, LEFT, module.segmentation(LEFT, "version_1")), labels
    )
    np.testing.assert_array_equal(
        labels_of(served, LEFT, module.segmentation(LEFT, "final")), submitted
    )

    # ... and approves that version.
    module.says(LEFT, "version_1", status="approved", level="medium", comment="ramus added")
    assert module.image_data(LEFT).isApprovedVersion("version_1")
    assert not module.image_data(LEFT).isApprovedVersion("final")
    assert module.image_data(LEFT).getApprovedVersionTagElseReturnLatestVersion() == "version_1"
    assert module.lists(is_approved=True) == [LEFT]
    assert module.controller.getStatistics().getIdxTotalApproved() == "1/2"
    detail = state_of(served, LEFT)
    assert (detail["state"], detail["approved_by"]) == ("approved", SENIOR)
    assert [v["tag"] for v in detail["versions"]][-2:] == ["final", "version_1"]
    assert requests.get(f"{served.url}/datastore/?output=train", timeout=30).status_code == 200

    # What is approved stays so: reader 1 is told by whom and when.
    told = refusal(submits_from_slicer, served, tmp_path, LEFT)
    assert "409" in told
    assert SENIOR in told
    np.testing.assert_array_equal(
        labels_of(served, LEFT, module.segmentation(LEFT, "version_1")), labels
    )


@WAYS
def test_ohif_submits_and_a_senior_takes_a_version_away(served, reviewer_module, tmp_path):
    (path,) = served.studies.glob(f"{RIGHT}.*")
    grid = read_volume(path).grid
    voxels = np.zeros(grid.shape_kji, np.uint8)
    voxels[10:20, 30:40, 40:50] = 1  # OHIF's own numbers, named in label_info
    answer = requests.put(
        f"{served.url}/datastore/label",
        params={"image": RIGHT},
        data={"params": json.dumps({"label_info": [{"name": GLAND.name, "idx": 1}]})},
        files={"label": ("label.bin", voxels.tobytes(), "application/octet-stream")},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    module = ReviewerModule(reviewer_module, served.url, tmp_path)
    kept = labels_of(served, RIGHT, module.segmentation(RIGHT, "final"))
    np.testing.assert_array_equal(kept, GLAND.value * voxels)

    image = sitk.ReadImage(str(path))
    file = saved_by_slicer(tmp_path / "edited.nrrd", voxels, image, [GLAND.title])
    tag = module.saves_new_version(RIGHT, file, comment="a slip")
    assert tag == "version_1"
    assert module.controller.deleteLabelByVersionTag(RIGHT, tag)
    assert not module.image_data(RIGHT).hasVersionTag(tag)
    rows = state_of(served, RIGHT)["versions"]
    assert [(row["tag"], row["withdrawn"]) for row in rows] == [
        ("final", False),
        ("version_1", True),
    ]


@WAYS
def test_an_unknown_version_is_not_said_to_be_deleted(served, reviewer_module, tmp_path):
    module = ReviewerModule(reviewer_module, served.url, tmp_path)
    assert not module.controller.deleteLabelByVersionTag(LEFT, "version_77")


def test_slicer_logs_in_and_submits(serve, tmp_path):
    server = serve(*OUR_ASGI, "--conf", "auth", "local")
    client = slicer(server, tmp_path, reader="somebody else")
    assert client.auth_enabled()
    assert "401" in refusal(client.info)
    assert "401" in refusal(client.auth_token, READER, "wrong")
    client.update_auth(client.auth_token(READER, PASSWORD))
    assert client.auth_valid_token()
    submitted = submits_from_slicer(server, tmp_path, LEFT, client=client)
    label = client.download_label(LEFT, "final")
    np.testing.assert_array_equal(labels_of(server, LEFT, label), submitted)
    token = {"Authorization": client._headers["Authorization"]}
    detail = state_of(server, LEFT, headers=token)
    # Whom the token proves counts, not what the client says.
    assert (detail["state"], detail["initial_author"]) == ("submitted", READER)
    # The annotator's token does not review.
    answer = requests.put(
        f"{server.url}/datastore/updatelabelinfo",
        params={"label": LEFT, "tag": "final"},
        data={"params": json.dumps({"segmentationMeta": {"status": "approved"}})},
        headers=token,
        timeout=30,
    )
    assert answer.status_code == 403
    assert state_of(server, LEFT, headers=token)["state"] == "submitted"
