"""The TG-43 parameters of a seed model, from a data file.

``seed_models/6711.json`` is the one that comes along; others are files of the same form. What
each value is: Rivard et al., Update of AAPM Task Group No. 43 Report, Med Phys 2004;31:633-674.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from parotid_brachy.lib.errors import InputRefusedError, NotFoundError
from parotid_brachy.lib.imaging.stored_image import quoted, regular_file
from parotid_brachy.lib.imaging.volume import FloatArray

PROTOCOL_MODEL: Final = "6711"
"""The seeds of the protocol; what a table of seeds is of, where nobody says otherwise."""
_FOLDER: Final = Path(__file__).parent / "seed_models"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_LARGEST_BYTES: Final = 1024**2
_MOST_NODES: Final = 1000

_ORDINARY_CAPSULE_CM: Final = {"radius_cm": 0.04, "length_cm": 0.45}
"""Where a file states none: nearly all seeds are 0.8 mm x 4.5 mm to load the same needles."""

_NEEDED: Final = frozenset(
    {
        "source_model",
        "L_cm",
        "dose_rate_constant_cGy_per_h_per_U",
        "half_life_days",
        "U_per_mCi_apparent",
        "g_L",
        "F",
        "phi_an",
    }
)
_REMARKS: Final = frozenset(
    {
        "mean_life_days",
        "U_definition",
        "sources",
        "interpolation",
        "along_away_QA_table",
        "check_values",
    }
)
"""For people and for checks; the calculation does not use them."""


@dataclass(frozen=True, eq=False)
class SeedModel:
    """TG-43 parameters of a seed; all distances in centimetres, as the report has them.

    Attributes:
        key: what plans call it, the data file's name without ``.json``: ``6711``.
        name: for messages and reports.
        active_length_cm: L of the line source.
        capsule_radius_cm: of the seed's outer surface.
        capsule_length_cm: from tip to tip.
        dose_rate_constant: Lambda, cGy / h / U.
        half_life_days: of the nuclide.
        u_per_mci: air-kerma strength of one apparent millicurie.
        radial_r_cm: distances of ``radial``, rising, shape (n,).
        radial: g_L, the radial dose function of the line source, shape (n,).
        anisotropy_r_cm: distances of ``anisotropy``, rising, shape (m,).
        anisotropy_theta_deg: its angles from the axis, rising from 0 to 90, shape (t,).
        anisotropy: F(r, theta), shape (t, m).
        factor_r_cm: distances of ``factor``, rising, shape (p,).
        factor: phi_an, the 1D anisotropy function, shape (p,).
    """

    key: str
    name: str
    active_length_cm: float
    capsule_radius_cm: float
    capsule_length_cm: float
    dose_rate_constant: float
    half_life_days: float
    u_per_mci: float
    radial_r_cm: FloatArray
    radial: FloatArray
    anisotropy_r_cm: FloatArray
    anisotropy_theta_deg: FloatArray
    anisotropy: FloatArray
    factor_r_cm: FloatArray
    factor: FloatArray

    @property
    def mean_life_h(self) -> float:
        """Half-life / ln 2, in hours: total dose per initial dose rate of a permanent implant."""
        return self.half_life_days * 24.0 / math.log(2.0)


def known_models() -> tuple[str, ...]:
    """Names of the models that come along."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def load_seed_model(name_or_path: str | Path) -> SeedModel:
    """A seed model that comes along, or one of a data file.

    Args:
        name_or_path: such as ``6711``; or the path of a JSON file of the same form. A string is a
            path where it ends with ``.json``.

    Raises:
        NotFoundError: no model is called so.
        InputRefusedError: the file is no seed model: a parameter is missing (each is named, the
            half-life among them), unknown or impossible.
    """
    if isinstance(name_or_path, Path) or name_or_path.lower().endswith(".json"):
        return _read(Path(name_or_path))
    path = _FOLDER / f"{name_or_path}.json"
    if not _NAME.fullmatch(name_or_path) or not path.is_file():
        message = (
            f"seed model {quoted(name_or_path)} is not known; known are "
            f"{', '.join(known_models())}. Give a data file of its TG-43 parameters instead."
        )
        raise NotFoundError(message)
    return _read(path)


def _read(path: Path) -> SeedModel:
    try:
        size = regular_file(path).stat().st_size
        if size > _LARGEST_BYTES:
            message = f"{path.name}: {size} bytes, at most {_LARGEST_BYTES} make a seed model."
            raise InputRefusedError(message)
        stated = json.loads(
            path.read_bytes().decode("utf-8"),
            object_pairs_hook=_without_doubles,
            parse_constant=_refuse_constant,
        )
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path.name}: no JSON of a seed model ({quoted(error)})."
        raise InputRefusedError(message) from error
    if not isinstance(stated, dict):
        message = f"{path.name}: no JSON object of TG-43 parameters."
        raise InputRefusedError(message)
    return _Fields(path.name, stated).model()


def _without_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        message = f"{double[:60]!r} is stated twice"
        raise ValueError(message)
    return found


def _refuse_constant(text: str) -> float:
    message = f"{text} is no number"
    raise ValueError(message)


@dataclass(frozen=True)
class _Fields:
    """What a data file states, taken out one by one under the file's name."""

    file: str
    stated: Mapping[str, Any]

    def model(self) -> SeedModel:
        missing = sorted(_NEEDED - self.stated.keys())
        unknown = sorted(self.stated.keys() - _NEEDED - _REMARKS - {"capsule"})
        if missing or unknown:
            told = [f"{', '.join(missing)} missing"] if missing else []
            told += [f"{', '.join(map(quoted, unknown[:8]))} unknown"] if unknown else []
            message = f"{self.file}: {'; '.join(told)}. A seed model states each parameter."
            raise InputRefusedError(message)
        name = self.stated["source_model"]
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            self._refuse("source_model", name, "a name is needed")
        length = self._number(self.stated, "L_cm", (0.01, 10.0))
        capsule = self._section("capsule") if "capsule" in self.stated else _ORDINARY_CAPSULE_CM
        radius = self._number(capsule, "radius_cm", (0.005, 0.5))
        outer = self._number(capsule, "length_cm", (0.01, 10.0))
        if outer < length:
            self._refuse("capsule.length_cm", outer, f"at least L_cm ({length}) is needed")
        radial_r, radial = self._table("g_L", least=2)
        factor_r, factor = self._table("phi_an", least=1)
        anisotropy_r, theta, anisotropy = self._anisotropy()
        return SeedModel(
            key=Path(self.file).stem,
            name=name.strip()[:80],
            active_length_cm=length,
            capsule_radius_cm=radius,
            capsule_length_cm=outer,
            dose_rate_constant=self._number(
                self.stated, "dose_rate_constant_cGy_per_h_per_U", (0.01, 10.0)
            ),
            half_life_days=self._number(self.stated, "half_life_days", (0.01, 50_000.0)),
            u_per_mci=self._number(self.stated, "U_per_mCi_apparent", (0.01, 100.0)),
            radial_r_cm=radial_r,
            radial=radial,
            anisotropy_r_cm=anisotropy_r,
            anisotropy_theta_deg=theta,
            anisotropy=anisotropy,
            factor_r_cm=factor_r,
            factor=factor,
        )

    def _table(self, name: str, *, least: int) -> tuple[FloatArray, FloatArray]:
        section = self._section(name)
        r_cm = self._rising(section, name, "r_cm", least)
        values = self._positive(section.get("value"), f"{name}.value", r_cm.shape)
        return r_cm, values

    def _anisotropy(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        section = self._section("F")
        r_cm = self._rising(section, "F", "r_cm", 1)
        theta = self._rising(section, "F", "theta_deg", 2)
        if theta[0] != 0.0 or theta[-1] != 90.0:
            self._refuse("F.theta_deg", theta.tolist(), "0 to 90 degrees are needed")
        stated = section.get("value_theta_by_r")
        values = self._positive(stated, "F.value_theta_by_r", (theta.size, r_cm.size))
        return r_cm, theta, values

    def _section(self, name: str) -> Mapping[str, Any]:
        section = self.stated[name]
        if not isinstance(section, dict):
            self._refuse(name, section, "an object is needed")
        found: Mapping[str, Any] = section
        return found

    def _number(self, section: Mapping[str, Any], name: str, bounds: tuple[float, float]) -> float:
        value = section.get(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not bounds[0] <= float(value or 0) <= bounds[1]:
            self._refuse(name, value, f"a number from {bounds[0]:g} to {bounds[1]:g} is needed")
        return float(value or 0)

    def _rising(self, section: Mapping[str, Any], name: str, key: str, least: int) -> FloatArray:
        what = f"{name}.{key}"
        values = self._numbers(section.get(key), what)
        is_line = values.ndim == 1 and least <= values.size <= _MOST_NODES
        if not is_line or values[0] < 0.0 or not np.all(np.diff(values) > 0.0):
            needed = f"{least} to {_MOST_NODES} rising numbers, none below 0, are needed"
            self._refuse(what, section.get(key), needed)
        return values

    def _positive(self, stated: Any, what: str, shape: tuple[int, ...]) -> FloatArray:
        values = self._numbers(stated, what)
        if values.shape != shape or not np.all((values > 0.0) & (values <= 100.0)):
            shown = " x ".join(map(str, shape))
            self._refuse(what, stated, f"{shown} numbers above 0 and at most 100 are needed")
        return values

    def _numbers(self, stated: Any, what: str) -> FloatArray:
        if not _holds_numbers(stated, 2):
            self._refuse(what, stated, "a list of numbers is needed")
        try:
            values = np.asarray(stated, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            self._refuse(what, stated, "as many numbers in each row are needed")
        if not np.all(np.isfinite(values)):
            self._refuse(what, stated, "finite numbers are needed")
        values.setflags(write=False)
        return values

    def _refuse(self, what: str, value: object, needed: str) -> NoReturn:
        message = f"{self.file}: {what} is {quoted(value)}; {needed}."
        raise InputRefusedError(message)


def _holds_numbers(stated: Any, depth: int) -> bool:
    """Whether these are lists of numbers alone: no text that would pass for one, no truth value."""
    if isinstance(stated, list):
        return depth > 0 and all(_holds_numbers(one, depth - 1) for one in stated)
    return depth < 2 and isinstance(stated, (int, float)) and not isinstance(stated, bool)
