import json
import sys
from itertools import islice

from scripts.measure import damaged_dicom
from scripts.measure.damaged_dicom import Finding, Outcome
from tests.dicom.importing import damaged_files
from tests.dicom.importing.damaged_files import COUNT, DamagedSeries
from tests.imaging.damage_dicom import whole_series


def test_there_are_five_hundred_different_ones(tmp_path):
    faults = list(islice(damaged_files._all_faults(), COUNT))
    assert len({json.dumps({n: hash(c) for n, c in files.items()}) for _, files in faults}) > 480
    assert len({kind for kind, _ in faults}) > 50


def test_a_few_are_imported_and_counted(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        sys, "argv", ["x", "--every", "120", "--json", str(tmp_path / "found.json")]
    )
    assert damaged_dicom.main() == 0
    findings = json.loads((tmp_path / "found.json").read_text())
    assert len(findings) == len(range(0, COUNT, 120))
    assert {one["outcome"] for one in findings} <= {"refused", "taken, equal voxels"}
    assert f"{len(findings)} series" in capsys.readouterr().out


def test_a_series_that_is_taken_with_other_voxels_is_a_fault(monkeypatch, tmp_path, capsys):
    def changed(folder, *, every):
        place = folder / "100"
        place.mkdir()
        for name, content in whole_series(
            lambda one, _: setattr(one, "RescaleIntercept", -1020)
        ).items():
            (place / name).write_bytes(content.replace(b".10.999.", b".10.100."))
        return [DamagedSeries(100, "another intercept", place)]

    monkeypatch.setattr(damaged_dicom, "write_damaged_series", changed)
    monkeypatch.setattr(sys, "argv", ["x"])
    assert damaged_dicom.main() == 1
    assert "FAULT: another intercept (100): taken, other voxels" in capsys.readouterr().out


def test_the_table_counts_by_kind(tmp_path, capsys):
    one = DamagedSeries(100, "gap", tmp_path)
    damaged_dicom.print_table(
        [Finding(one, Outcome.REFUSED, "", 1.0), Finding(one, Outcome.EQUAL, "", 2.0)]
    )
    assert "| gap | 1 | 0 | 1 | 0 | 0 |" in capsys.readouterr().out
