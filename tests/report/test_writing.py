import json

import pytest

from parotid_brachy.lib.report.writing import is_report, write_report


def test_a_report_is_known_again(tmp_path):
    write_report(tmp_path / "a.json", {"case": "a", "warnings": ("x",)})
    assert is_report(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["warnings"] == ["x"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"format": "x"}', b"[" * 10**5]
)
def test_other_files_are_no_reports(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    assert not is_report(tmp_path / "a.json")
    assert not is_report(tmp_path / "missing.json")


def test_numbers_that_json_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_report(tmp_path / "a.json", {"ml": float("nan")})
    assert list(tmp_path.iterdir()) == []
