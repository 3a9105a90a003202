import pytest

from parotid_brachy.lib.dicom.case_series import CaseSeries
from parotid_brachy.lib.errors import NotFoundError, UsageError


@pytest.fixture
def series(tmp_path):
    return CaseSeries(tmp_path / ".parotid")


def test_a_kept_folder_is_the_cases(series, tmp_path):
    new = tmp_path / "new"
    (new / "related").mkdir(parents=True)
    (new / "0001.dcm").write_bytes(b"slice")
    (new / "related" / "rtplan_1.dcm").write_bytes(b"plan")
    assert not series.has("case a")
    assert series.keep("case a", new) == series.folder_of("case a")
    assert series.has("case a")
    assert not new.exists()
    assert [path.read_bytes() for path in series.slices_of("case a")] == [b"slice"]
    assert [path.read_bytes() for path in series.related_of("case a")] == [b"plan"]


def test_a_case_without_slices_is_told(series):
    assert series.related_of("a") == []
    with pytest.raises(NotFoundError, match="not imported from DICOM"):
        series.slices_of("a")


@pytest.mark.parametrize("case", ["", ".", "..", "../a", "a/b", "/a", ".incoming-1", "a\0", "a."])
def test_what_leads_elsewhere_is_no_case(series, case):
    with pytest.raises(UsageError, match="no case"):
        series.folder_of(case)
