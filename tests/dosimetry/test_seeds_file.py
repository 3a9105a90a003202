"""Seeds as a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dosimetry.implants import random_plan

from parotid_brachy.lib.dosimetry.plan import SeedPlan
from parotid_brachy.lib.dosimetry.seed_model import load_seed_model
from parotid_brachy.lib.dosimetry.seeds_file import read_seeds, write_seeds
from parotid_brachy.lib.errors import InputRefusedError

MODEL = load_seed_model("6711")


def _read(folder: Path, text: str) -> SeedPlan:
    path = folder / "seeds.csv"
    path.write_bytes(text.encode())
    return read_seeds(path, MODEL)


@pytest.mark.parametrize("oriented", [True, False])
def test_what_is_written_is_read_to_the_last_digit(tmp_path: Path, oriented: bool) -> None:
    plan = random_plan(30, seed=1, oriented=oriented)
    write_seeds(plan, tmp_path / "random.csv")
    assert read_seeds(tmp_path / "random.csv", MODEL) == plan


def test_activities_become_air_kerma_strengths(tmp_path: Path) -> None:
    plan = _read(tmp_path, "x_mm,y_mm,z_mm,activity_mci\n1,2,3,0.5\n")
    assert plan.seeds[0].air_kerma_strength_u == pytest.approx(0.635)
    assert plan.seeds[0].direction_lps is None
    assert (plan.name, plan.model) == ("seeds", "6711")


def test_one_seed_may_lack_the_direction_that_others_have(tmp_path: Path) -> None:
    head = "\ufeffz_mm,y_mm,x_mm,dx,dy,dz,air_kerma_strength_u\r\n"
    plan = _read(tmp_path, head + "3,2,1,0,0,2,0.8\r\n4,2,1,,,,0.8\r\n")
    assert [seed.position_lps_mm for seed in plan.seeds] == [(1.0, 2.0, 3.0), (1.0, 2.0, 4.0)]
    assert [seed.direction_lps for seed in plan.seeds] == [(0.0, 0.0, 1.0), None]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "x_mm, y_mm, z_mm missing"),
        ("x_mm,y_mm,z_mm\n1,2,3\n", "either air_kerma_strength_u or activity_mci"),
        ("x_mm,y_mm,z_mm,activity_mci,air_kerma_strength_u\n", "either"),
        ("x_mm,y_mm,z_mm,activity_mci,dx\n1,2,3,1,1\n", "dx, dy and dz"),
        ("x_mm,y_mm,z_mm,activity_mci,depth\n1,2,3,1,1\n", "'depth' unknown"),
        ("x_mm,y_mm,z_mm,activity_mci,x_mm\n1,2,3,1,1\n", "twice"),
        ("x_mm;y_mm;z_mm;activity_mci\n1;2;3;1\n", "commas"),
        ("x_mm,y_mm,z_mm,activity_mci\n", "0 seeds"),
        ("x_mm,y_mm,z_mm,activity_mci\n1,2,3\n", "row 2: not as many values"),
        ("x_mm,y_mm,z_mm,activity_mci\n1,2,3,1,9\n", "row 2: not as many values"),
        ("x_mm,y_mm,z_mm,activity_mci\n1,2,3,1\n1,2,ten,1\n", "row 3: z_mm is 'ten'"),
        ("x_mm,y_mm,z_mm,activity_mci\n1,2,nan,1\n", "row 2"),
        ("x_mm,y_mm,z_mm,activity_mci\n1,2,1_0,1\n", "row 2: z_mm"),
        ("x_mm,y_mm,z_mm,activity_mci\n1,2,3,0\n", "row 2: .*strength"),
        ("x_mm,y_mm,z_mm,activity_mci,dx,dy,dz\n1,2,3,1,1,,\n", "row 2: dy"),
        ("x_mm,y_mm,z_mm,activity_mci\n" + "1,2,3,1\n" * 1001, "more than 1000"),
        ('x_mm,y_mm,z_mm,activity_mci\n1,2,"3,1\n', "no table"),
    ],
)
def test_what_is_no_table_of_seeds_is_refused_by_row(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputRefusedError, match=told):
        _read(tmp_path, text)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputRefusedError, match="UTF-8"):
        read_seeds(path, MODEL)
    with pytest.raises(InputRefusedError, match="no such file"):
        read_seeds(tmp_path / "none.csv", MODEL)
