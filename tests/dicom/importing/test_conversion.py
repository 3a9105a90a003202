import numpy as np
import pydicom
import pytest
from tests.dicom.importing.series import UID, related, tilted, turned, uneven, write
from tests.imaging.damage_dicom import encoded, series_head, slice_dataset, whole_series
from tests.imaging.heads import grid_of
from tests.imaging.test_sampling import rotation

from parotid_brachy.lib.dicom.importing.conversion import SeriesToConvert, convert
from parotid_brachy.lib.dicom.importing.identity import AsItIs
from parotid_brachy.lib.dicom.importing.limits import IMPORT_LIMITS
from parotid_brachy.lib.dicom.importing.records import converted_of
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.dicom_series import read_series_grid
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.imaging.limits import CT_LIMITS
from parotid_brachy.lib.imaging.volume import Volume

DEFLATED = pydicom.uid.DeflatedExplicitVRLittleEndian


@pytest.fixture
def converted(tmp_path):
    """Converts a series given as files; what was said, and the folder."""

    def run(files, *beside):
        folder = write(tmp_path / "source", files)
        out = tmp_path / "out"
        out.mkdir()
        wanted = SeriesToConvert("series 2", sorted(folder.iterdir()), list(beside))
        return convert(wanted, out, AsItIs(), IMPORT_LIMITS, lambda *_: None), out

    return run


def test_the_image_lies_on_the_series_own_grid_and_holds_its_numbers(converted):
    done, out = converted(whole_series())
    image = read_volume(out / "image.nii.gz")
    assert np.array_equal(image.voxels, series_head().voxels)
    assert image.voxels.dtype == np.int16
    grid = read_series_grid(out / "series", CT_LIMITS)
    assert image.grid.is_same_as(grid, tolerance_mm=1e-3)
    assert done.grid == grid
    assert done.slice_count == len(list((out / "series").glob("*.dcm"))) == 14


@pytest.mark.parametrize("turn", [(4.0, -7.0, 11.0), (180.0, 0.0, 5.0), (90.0, 0.0, 0.0)])
def test_oblique_and_turned_series_keep_their_grid(converted, turn):
    grid = grid_of((36, 40, 14), (5.0, 4.5, 9.0), rotation(*turn), (3.0, 40.0, -900.0))
    cut = Volume(grid, series_head().voxels, "oblique")
    _, out = converted({f"{k}.dcm": encoded(slice_dataset(cut, k)) for k in range(14)})
    image = read_volume(out / "image.nii.gz")
    assert image.grid.is_same_as(read_series_grid(out / "series", CT_LIMITS), tolerance_mm=1e-3)
    assert np.array_equal(image.voxels, cut.voxels)


def test_the_slices_are_kept_byte_for_byte_in_the_order_in_which_they_lie(converted):
    files = whole_series()
    shuffled = dict(zip(reversed(files), files.values(), strict=True))
    _, out = converted(shuffled)
    kept = [path.read_bytes() for path in sorted((out / "series").glob("*.dcm"))]
    assert kept == list(files.values())


def test_numbers_that_are_not_whole_stay_so(converted):
    def change(one, k):
        one.RescaleSlope = 0.5
        one.PixelData = (np.frombuffer(one.PixelData, "<u2") * 2 + 1).astype("<u2").tobytes()

    _, out = converted(whole_series(change))
    image = read_volume(out / "image.nii.gz")
    assert image.voxels.dtype == np.float32
    assert np.allclose(image.voxels, series_head().voxels + 0.5)


def test_the_case_is_called_by_patient_and_series(converted):
    done, _ = converted(whole_series(lambda one, _: setattr(one, "PatientID", "../Mü 7/..\\x")))
    assert done.case.startswith("M-7-x_") or done.case.startswith("M-")
    assert "/" not in done.case
    assert not done.case.startswith(".")


def test_what_is_told_comes_back_from_json(converted):
    import json

    done, _ = converted(whole_series())
    assert converted_of(json.loads(json.dumps(done.to_json()))) == done


def _without(*names):
    return {name: content for name, content in whole_series().items() if name not in names}


def _set(keyword, value, k):
    def change(one, number):
        if number == k and value is None:
            delattr(one, keyword)
        elif number == k:
            setattr(one, keyword, value)

    return whole_series(change)


@pytest.mark.parametrize(
    ("files", "kind", "fault"),
    [
        (_without("slice006.dcm"), GeometryError, r"between slice005\.dcm and slice007\.dcm"),
        (whole_series(uneven), GeometryError, r"uneven slices.*slice009\.dcm"),
        (whole_series(tilted), GeometryError, r"slice000\.dcm to slice013\.dcm.*tilted gantry"),
        (whole_series(turned), GeometryError, r"slice000\.dcm and slice010\.dcm .*orientation"),
        (
            _set("ImageOrientationPatient", [0, 1, 0, 1, 0, 0], 0),
            GeometryError,
            r"slice001\.dcm and slice000\.dcm differ in orientation",
        ),
        (
            {**whole_series(), "copy.dcm": whole_series()["slice003.dcm"]},
            InputRefusedError,
            r"copy\.dcm and slice003\.dcm are the same slice twice",
        ),
        (
            _set("ImagePositionPatient", [-87.5, -97.5, -13.5], 7),
            GeometryError,
            r"slice00\d\.dcm and slice00\d\.dcm lie at the same place",
        ),
        (
            _set("ImagePositionPatient", [-60.0, -97.5, 4.5], 7),
            GeometryError,
            r"slice007\.dcm lies 27\.50 mm beside",
        ),
        (_set("PixelSpacing", [5.2, 5.2], 4), GeometryError, r"slice004\.dcm differ in pixel"),
        (_set("Rows", 39, 4), GeometryError, r"slice004\.dcm differ in size"),
        (_set("ImagePositionPatient", None, 4), InputRefusedError, r"slice004\.dcm: ImagePosit"),
        (_set("RescaleIntercept", None, 4), InputRefusedError, r"slice004\.dcm: RescaleInt"),
        (_set("PixelData", b"\0\0", 4), InputRefusedError, r"slice004\.dcm: its pixels"),
        (_set("SOPInstanceUID", None, 4), InputRefusedError, r"slice004\.dcm: SOPInstanceUID"),
    ],
)
def test_a_series_that_is_no_volume_is_refused_with_the_slice(converted, files, kind, fault):
    with pytest.raises(kind, match=fault):
        converted(files)


@pytest.mark.parametrize(("end", "is_refused"), [(0, True), (13, True), (7, False)])
def test_an_end_that_states_another_series_is_not_lost_unseen(tmp_path, end, is_refused):
    folder = write(tmp_path / "source", whole_series())
    slices = sorted(folder.iterdir())
    stray = tmp_path / "stray.dcm"
    # The middle one's twin lies within the series, as a slice of another scan does.
    stray.write_bytes(slices[end].read_bytes())
    if is_refused:
        slices.pop(end)
    (tmp_path / "out").mkdir()
    wanted = SeriesToConvert("series 2", slices, strays=[stray])
    if not is_refused:
        convert(wanted, tmp_path / "out", AsItIs(), IMPORT_LIMITS, lambda *_: None)
        return
    with pytest.raises(GeometryError, match=r"stray\.dcm continues it"):
        convert(wanted, tmp_path / "out", AsItIs(), IMPORT_LIMITS, lambda *_: None)


def test_numbers_that_are_no_hounsfield_units_are_refused(converted):
    files = whole_series(lambda one, _: setattr(one, "RescaleIntercept", 0))
    with pytest.raises(InputRefusedError, match="no air"):
        converted(files)


def test_related_objects_are_kept_and_damaged_ones_told(converted, tmp_path):
    plan, damaged = tmp_path / "plan.dcm", tmp_path / "dose.dcm"
    plan.write_bytes(related("RTPLAN"))
    damaged.write_bytes(
        related("RTDOSE", lambda one: setattr(one.file_meta, "TransferSyntaxUID", DEFLATED))
    )
    done, out = converted(whole_series(), plan, damaged)
    (name,) = done.related
    assert name.startswith("rtplan_")
    assert [path.name for path in (out / "series" / "related").iterdir()] == [name]
    kept = pydicom.dcmread(out / "series" / "related" / name)
    assert kept.SOPInstanceUID == f"{UID}.88.6"
    assert sum(done.related_left_out.values()) == 1
    assert "dose.dcm" not in str(dict(done.related_left_out))
