"""Seed models by data file."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tests.dosimetry.implants import DATA

from parotid_brachy.lib.dosimetry.seed_model import known_models, load_seed_model
from parotid_brachy.lib.errors import InputRefusedError, NotFoundError


def _file(folder: Path, change: dict[str, Any], *, without: str = "") -> Path:
    stated = copy.deepcopy(DATA)
    stated.update(change)
    stated.pop(without, None)
    path = folder / "other.json"
    path.write_text(json.dumps(stated))
    return path


def test_the_6711_comes_along() -> None:
    assert known_models() == ("6711",)
    model = load_seed_model("6711")
    assert (model.key, model.active_length_cm, model.half_life_days) == ("6711", 0.3, 59.4)


def test_another_model_is_another_data_file(tmp_path: Path) -> None:
    model = load_seed_model(_file(tmp_path, {"half_life_days": 16.991, "L_cm": 0.42}))
    assert (model.key, model.half_life_days, model.active_length_cm) == ("other", 16.991, 0.42)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    for name in ("2301", "../6711", "", "67\n11"):
        with pytest.raises(NotFoundError, match="6711"):
            load_seed_model(name)


@pytest.mark.parametrize("name", ["half_life_days", "g_L", "F", "U_per_mCi_apparent"])
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputRefusedError, match=f"{name} missing"):
        load_seed_model(_file(tmp_path, {}, without=name))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"half_life_days": 0}, "half_life_days"),
        ({"half_life_days": True}, "half_life_days"),
        ({"half_life_days": "59.4"}, "half_life_days"),
        ({"L_cm": -0.3}, "L_cm"),
        ({"g_L": {"r_cm": [1.0, 0.5], "value": [1.0, 1.0]}}, "g_L.r_cm"),
        ({"g_L": {"r_cm": [0.5, 1.0], "value": [1.0]}}, "g_L.value"),
        ({"g_L": {"r_cm": [0.5, 1.0], "value": [1.0, -1.0]}}, "g_L.value"),
        ({"g_L": 7}, "g_L"),
        ({"phi_an": {"r_cm": "abc", "value": [1.0]}}, "phi_an.r_cm"),
        ({"F": {"r_cm": [1], "theta_deg": [0, 45], "value_theta_by_r": [[1], [1]]}}, "theta_deg"),
        ({"F": {"r_cm": [1], "theta_deg": [0, 90], "value_theta_by_r": [[1], []]}}, "F.value"),
        ({"surprise": 1}, "surprise"),
        ({"capsule": {"radius_cm": 0.04, "length_cm": 0.2}}, "capsule.length_cm"),
    ],
)
def test_what_no_model_states_is_refused(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputRefusedError, match=told):
        load_seed_model(_file(tmp_path, change))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"L_cm": NaN}', '{"L_cm": 1, "L_cm": 2}', "[" * 9999]
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputRefusedError, match=r"bad\.json"):
        load_seed_model(path)
