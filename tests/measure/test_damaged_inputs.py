import json
import os
import sys

import pytest
from scripts.measure import damaged_inputs
from tests.imaging.damage import Damaged, Outcome, whole_nifti


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the measurement on three given inputs; exit code, findings, what was printed."""

    def write_three(folder):
        content = whole_nifti()
        for name, length in (("a.nii", 1000), ("b.nii", len(content)), ("c.nii", 20)):
            (folder / name).write_bytes(content[:length])
        return [
            Damaged("NIfTI: cut short", folder / "a.nii"),
            Damaged("NIfTI: nothing", folder / "b.nii", may_be_whole=True),
            Damaged("NIfTI: cut short", folder / "c.nii"),
        ]

    def run(capsys):
        monkeypatch.setattr(damaged_inputs, "write_damaged", write_three)
        monkeypatch.setattr(sys, "argv", ["x", "--json", str(tmp_path / "a.json")])
        code = damaged_inputs.main()
        return code, json.loads((tmp_path / "a.json").read_text()), capsys.readouterr().out

    return run


def test_the_table_counts_every_input_and_keeps_the_reasons(run, capsys):
    code, findings, printed = run(capsys)
    assert code == 0
    assert [one["outcome"] for one in findings] == [
        Outcome.REFUSED.value,
        Outcome.WHOLE.value,
        Outcome.REFUSED.value,
    ]
    assert "cut short" in findings[0]["message"]
    assert "| all | 2 | 1 | 0 | 0 | 0 |" in printed


def _die_on_the_second(pipe, damaged):
    """A reader that ends its process, as a fault in native code would."""
    pipe.send(1.0)
    if damaged[0].path.name == "a.nii":
        pipe.send((Outcome.REFUSED, "", 1.0))
        os._exit(139)
    for _ in damaged:
        pipe.send((Outcome.REFUSED, "", 1.0))


def test_a_crash_of_the_process_is_counted_and_the_run_goes_on(run, capsys, monkeypatch):
    monkeypatch.setattr(damaged_inputs, "_read_in_child", _die_on_the_second)
    code, findings, printed = run(capsys)
    assert code == 1
    assert [one["outcome"] for one in findings] == [
        Outcome.REFUSED.value,
        Outcome.CRASHED.value,
        Outcome.REFUSED.value,
    ]
    assert "139" in findings[1]["message"]
    assert "NOT REFUSED: NIfTI: nothing: crashed" in printed
