import json
import os
from dataclasses import replace

import pytest
from tests.dicom.importing.series import related, write
from tests.imaging.damage_dicom import whole_series

from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.dicom.importing.conversion import SeriesToConvert, convert
from parotid_brachy.lib.dicom.importing.identity import AsItIs
from parotid_brachy.lib.dicom.importing.landing import Landed, LandingPlace
from parotid_brachy.lib.dicom.importing.limits import IMPORT_LIMITS
from parotid_brachy.lib.errors import ConflictError, StoreFullError


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


@pytest.fixture
def place(studies):
    return LandingPlace(studies, studies / ".parotid")


@pytest.fixture
def land(place, tmp_path):
    """Converts the small series and lands it; how, and what."""
    source = write(tmp_path / "source", whole_series())

    def run(*beside, before=lambda: None, **changes):
        with place.alone(), place.incoming() as incoming:
            wanted = SeriesToConvert("series 2", sorted(source.iterdir()), beside)
            converted = convert(wanted, incoming, AsItIs(), IMPORT_LIMITS, lambda *_: None)
            before()
            converted = replace(converted, **changes)
            return place.land(incoming, converted, is_deidentified=False), converted

    return run


def images(studies):
    return sorted(path.name for path in studies.glob("*.nii.gz"))


def leftovers(place):
    return list(place.series.folder.glob(".incoming-*"))


def test_slices_image_and_report_of_a_case_land(land, place, studies):
    landed, converted = land()
    assert landed is Landed.NEW
    assert images(studies) == [f"{converted.case}.nii.gz"]
    assert len(place.series.slices_of(converted.case)) == 14
    report = json.loads((place.series.folder_of(converted.case) / "import.json").read_text())
    assert report["series_uid"] == converted.series_uid
    assert report["slices"] == 14
    assert leftovers(place) == []


def test_the_same_series_again_is_already_there(land, place, studies):
    _, converted = land()
    image = studies / f"{converted.case}.nii.gz"
    before = image.stat()
    assert land()[0] is Landed.ALREADY
    assert image.stat().st_ino == before.st_ino
    assert leftovers(place) == []


def test_a_plan_that_comes_later_is_added(land, place, tmp_path):
    land()
    (tmp_path / "plan.dcm").write_bytes(related("RTPLAN"))
    landed, converted = land(tmp_path / "plan.dcm")
    assert landed is Landed.ALREADY
    assert [path.name for path in place.series.related_of(converted.case)] == list(
        converted.related
    )


def test_a_series_with_other_slices_under_the_same_name_is_refused(land, studies):
    _, converted = land()
    content = (studies / f"{converted.case}.nii.gz").read_bytes()
    with pytest.raises(ConflictError, match="other slices"):
        land(voxels_sha256="0" * 64)
    assert (studies / f"{converted.case}.nii.gz").read_bytes() == content


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_an_image_that_was_not_imported_is_never_replaced(land, place, studies, ending):
    with pytest.raises(ConflictError, match="not imported from DICOM"):
        land(case="mine", before=lambda: (studies / f"mine{ending}").write_text("image"))
    assert (studies / f"mine{ending}").read_text() == "image"
    assert not place.series.has("mine")


class Killed(BaseException):
    """What a kill is to the code below it: nothing after this point runs."""


@pytest.mark.parametrize("call", ["rename", "link"])
@pytest.mark.parametrize("after", [False, True])
def test_an_import_that_is_killed_leaves_no_half_case_and_is_repeated(
    land, place, studies, monkeypatch, call, after
):
    from pathlib import Path

    owner, name = (Path, "rename") if call == "rename" else (os, "link")
    original = getattr(owner, name)

    def killed(*args, **options):
        if after:
            original(*args, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # nothing is cleared up either
        with pytest.raises(Killed):
            land()
    assert len(leftovers(place)) == 1
    is_case = call == "link" and after
    assert len(images(studies)) == int(is_case)
    landed, converted = land()
    assert landed is (Landed.ALREADY if is_case else Landed.NEW)
    assert images(studies) == [f"{converted.case}.nii.gz"]
    assert len(place.series.slices_of(converted.case)) == 14
    assert leftovers(place) == []


def test_slices_that_a_killed_import_left_are_replaced_where_they_differ(land, place, studies):
    _, converted = land()
    (studies / f"{converted.case}.nii.gz").unlink()
    folder = place.series.folder_of(converted.case)
    (folder / "import.json").unlink()
    (folder / "0001.dcm").unlink()
    assert land()[0] is Landed.NEW
    assert len(place.series.slices_of(converted.case)) == 14


def test_one_import_at_a_time_works_on_a_folder(place, studies):
    second = LandingPlace(studies, studies / ".parotid").alone()
    with place.alone(), pytest.raises(ConflictError, match="another import"):
        second.__enter__()
    with place.alone():
        pass


def test_a_full_disk_is_told_and_leaves_nothing(land, place, studies, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StoreFullError, match="No space left"):
        land()
    assert images(studies) == []
    assert leftovers(place) == []


def test_slices_are_never_kept_over_others(tmp_path):
    series = CaseSeries(tmp_path / ".parotid")
    for content in (b"1", b"2"):
        write(tmp_path / "new", {"0001.dcm": content})
        if content == b"1":
            series.keep("a", tmp_path / "new")
        else:
            with pytest.raises(ConflictError, match="never replaced"):
                series.keep("a", tmp_path / "new")
    assert [path.read_bytes() for path in series.slices_of("a")] == [b"1"]
