import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.imaging.damage_dicom import whole_series
from tests.imaging.heads import grid_of, head
from tests.segmentation.versions import GLAND_HU, planted_head, planted_registry

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES, Side
from parotid_brachy.lib.cli import model_choice
from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.errors import GlandNotFoundError
from parotid_brachy.lib.imaging.files import read_label_map, read_volume
from parotid_brachy.lib.imaging.volume import Volume, to_image
from parotid_brachy.lib.segmentation.backends import Backend
from parotid_brachy.lib.segmentation.findings import PreLabel, Report, StructureReport


class FakeLabeller:
    """Takes everything near the mass for the gland; remembers what it was asked."""

    def __init__(self) -> None:
        self.calls = []
        self.fault: Exception | None = None

    def run(self, volume, options=None) -> PreLabel:
        self.calls.append((volume.case, options))
        if self.fault is not None and volume.case == "faulty":
            raise self.fault
        labels = np.where(volume.voxels == 70, GLAND.value, 0).astype(np.uint8)
        count = int((labels > 0).sum())
        structures = {one.name: StructureReport(0, 0.0, None) for one in STRUCTURES}
        structures[GLAND.name] = StructureReport(count, count * volume.grid.voxel_ml, 0.9)
        report = Report(
            case=volume.case,
            task="two_step",
            side="left",
            side_source="guessed",
            gland_ml_by_side={"left": 1.0},
            models={"gland": "fake"},
            seconds={"gland": 0.1},
            structures=structures,
            kept_beyond_reach=False,
            warnings=("look at it",),
        )
        return PreLabel(labels, volume.grid, report)


@pytest.fixture
def labeller(monkeypatch) -> FakeLabeller:
    fake = FakeLabeller()
    monkeypatch.setattr(model_choice, "load_labeller", lambda root, *, preset, models: fake)
    return fake


def save(volume: Volume, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(to_image(volume.voxels, volume.grid), str(path))
    return path


def predict(*arguments: object) -> int:
    return main(["predict", *(str(argument) for argument in arguments)])


def report_of(folder: Path, case: str) -> dict:
    return json.loads((folder / f"{case}.json").read_text())


def test_a_case_gets_map_report_and_picture(tmp_path, labeller, capsys):
    volume = head()
    ct = save(volume, tmp_path / "in" / "case 1.nii.gz")
    out = tmp_path / "new" / "out"
    assert predict(ct, "--output", out) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "case 1.json",
        "case 1.nii.gz",
        "case 1.png",
    ]
    labels = read_label_map(out / "case 1.nii.gz", read_volume(ct).grid)
    assert np.array_equal(labels == GLAND.value, volume.voxels == 70)
    report = report_of(out, "case 1")
    assert report["status"] == "labelled"
    assert report["case"] == "case 1"
    assert report["warnings"] == ["look at it"]
    assert report["image"]["size"] == [44, 52, 40]
    assert report["run_seconds"]["total"] > 0
    assert (out / "case 1.png").read_bytes().startswith(b"\x89PNG")
    assert "case 1: side left (guessed), gland" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "side", "keep"),
    [
        ((), None, False),
        (("--side", "auto"), None, False),
        (("--side", "left"), Side.LEFT, False),
        (("--side", "right", "--keep-beyond-reach"), Side.RIGHT, True),
    ],
)
def test_options_reach_the_two_steps(tmp_path, labeller, arguments, side, keep):
    ct = save(head(), tmp_path / "a.nrrd")
    assert predict(ct, "--output", tmp_path / "out", *arguments) == 0
    (_, options) = labeller.calls[0]
    assert options.side is side
    assert options.keep_beyond_reach is keep


def test_model_options_reach_the_choice(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        model_choice,
        "load_labeller",
        lambda root, *, preset, models: (
            asked.append((root, preset, tuple(models))) or FakeLabeller()
        ),
    )
    ct = save(head(), tmp_path / "a.nii")
    out = ("--output", tmp_path / "out", "--models", tmp_path)
    assert predict(ct, *out, "--preset", "paper") == 0
    assert predict(ct, *out, "--model", "gland=x", "--model", "y") == 0
    assert asked == [(tmp_path, "paper", ()), (tmp_path, None, ("gland=x", "y"))]


def test_a_refused_case_says_why_and_the_others_go_on(tmp_path, labeller, capsys):
    folder = tmp_path / "many"
    save(head(), folder / "a.nii.gz")
    (folder / "b.nii.gz").write_bytes(b"no gzip file")
    save(head(), folder / "c.mha")
    out = tmp_path / "out"
    assert predict(folder, "--output", out) == 1
    assert [case for case, _ in labeller.calls] == ["a", "c"]
    assert report_of(out, "a")["status"] == report_of(out, "c")["status"] == "labelled"
    refused = report_of(out, "b")
    assert refused["status"] == "refused"
    assert refused["case"] == "b"
    assert "b.nii.gz: not a readable gzip file" in refused["reason"]
    assert not (out / "b.nii.gz").exists()
    assert not (out / "b.png").exists()
    stderr = capsys.readouterr().err
    assert "refused: b.nii.gz: not a readable gzip file" in stderr
    assert "1 of 3 cases refused" in stderr


@pytest.mark.parametrize("fault", [GlandNotFoundError("faulty: no gland."), RuntimeError("a bug")])
def test_a_fault_in_one_case_does_not_cost_the_others(tmp_path, labeller, fault):
    labeller.fault = fault
    for name in ("a", "faulty", "z"):
        save(head(), tmp_path / "in" / f"{name}.nii")
    assert predict(tmp_path / "in", "--output", tmp_path / "out") == 1
    assert report_of(tmp_path / "out", "z")["status"] == "labelled"
    assert str(fault) in report_of(tmp_path / "out", "faulty")["reason"]


def test_a_case_refused_now_keeps_nothing_of_an_earlier_run(tmp_path, labeller):
    ct, out = save(head(), tmp_path / "a.nii"), tmp_path / "out"
    assert predict(ct, "--output", out) == 0
    assert predict(ct, "--output", out) == 0
    ct.write_bytes(b"")
    assert predict(ct, "--output", out) == 1
    assert [path.name for path in out.iterdir()] == ["a.json"]
    assert report_of(out, "a")["status"] == "refused"


def test_a_stopped_run_can_be_repeated(tmp_path, labeller):
    ct, out = save(head(), tmp_path / "faulty.nii"), tmp_path / "out"
    labeller.fault = KeyboardInterrupt()
    assert predict(ct, "--output", out) == 1
    assert report_of(out, "faulty")["status"] == "unfinished"
    labeller.fault = None
    assert predict(ct, "--output", out) == 0


def test_a_dicom_folder_is_one_case(tmp_path, labeller):
    folder = tmp_path / "patient 9"
    folder.mkdir()
    for name, content in whole_series().items():
        (folder / name).write_bytes(content)
    out = tmp_path / "out"
    assert predict(folder, "--output", out) == 0
    theirs = Volume.of(sitk.ReadImage(str(out / "patient 9.nii.gz")), case="9")
    assert theirs.grid.is_same_as(read_volume(folder).grid, tolerance_mm=1e-3)


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.nii", "--output", "out"],
        ["a.nii"],
        ["--output", "out"],
        ["a.nii", "--output", "out", "--side", "up"],
        ["a.nii", "b/a.nii", "--output", "out"],
        ["a.nii", "--output", "out", "--preset", "paper", "--model", "x"],
        ["a.nii", "--output", "a.nii"],
        ["a.nii.gz", "--output", "."],
    ],
)
def test_wrong_calls_end_with_2_and_write_nothing(tmp_path, monkeypatch, labeller, arguments):
    monkeypatch.chdir(tmp_path)
    for name in ("a.nii", "b/a.nii", "a.nii.gz"):
        save(head(), tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    assert predict(*arguments) == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert labeller.calls == []


def test_without_a_model_nothing_is_written(tmp_path, capsys):
    ct = save(head(), tmp_path / "a.nii")
    assert predict(ct, "--output", tmp_path / "out", "--models", tmp_path / "none") != 0
    assert "gland" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_real_two_steps_find_the_smaller_gland(tmp_path, monkeypatch):
    # Compiling for the fast backend takes longer than running these narrow networks.
    monkeypatch.setattr(model_choice, "best_backend", lambda device: Backend.TORCH)
    planted_registry(tmp_path / "models")
    volume = planted_head(grid_of((80, 84, 60), (2.5, 2.5, 3.5)))
    ct, out = save(volume, tmp_path / "a.nii.gz"), tmp_path / "out"
    assert predict(ct, "--output", out, "--models", tmp_path / "models") == 0
    labels = read_label_map(out / "a.nii.gz", volume.grid)
    x_lps_mm = volume.grid.to_lps_mm(np.argwhere(labels == GLAND.value)[:, ::-1])[:, 0]
    assert len(x_lps_mm) > 0
    assert np.all(x_lps_mm > 0)
    assert (volume.voxels[labels == GLAND.value] == GLAND_HU).mean() > 0.8
    report = report_of(out, "a")
    assert (report["side"], report["side_source"]) == ("left", "guessed")
    assert report["models"] == {"gland": "planted", "organs_at_risk": "planted"}
