"""Dose rate round one seed by the TG-43U1 formalism.

Rivard et al., Update of AAPM Task Group No. 43 Report, Med Phys 2004;31:633-674: equation 1 (2D)
and equation 11 (1D, with the line source's geometry function). Double precision; the reference for
the fast :mod:`parotid_brachy.lib.dosimetry.dose_grid`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from parotid_brachy.lib.dosimetry.seed_model import SeedModel
from parotid_brachy.lib.imaging.volume import FloatArray

_REFERENCE_CM: Final = 1.0
"""Distance r_0 of the reference point, at right angles to the seed."""
_CGY_PER_GY: Final = 100.0
_SERIES_BELOW: Final = 1e-4
"""Of arctan(x) / x, where 1 - x^2 / 3 is exact to the last digit."""


def dose_rate_cgy_per_h_per_u(
    model: SeedModel, r_mm: ArrayLike, cos_theta: ArrayLike | None
) -> FloatArray:
    """Dose rate in water at points round a seed of 1 U.

    Inside the capsule there is no water, and the line source has its singularity: what is given
    there is the value on the capsule's surface, beside the point (2D) or at its radius (1D).

    Args:
        model: the seed's.
        r_mm: distances from the seed's centre.
        cos_theta: cosines of the angles from the seed's axis, of either sign (the model is
            symmetric); shape like ``r_mm``. None: the orientation is unknown, the 1D formalism.

    Returns:
        cGy / h / U, in the arguments' common shape.
    """
    r_cm = np.abs(np.asarray(r_mm, dtype=np.float64)) / 10.0
    if cos_theta is None:
        r_cm = np.maximum(r_cm, model.capsule_radius_cm)
        geometry = geometry_function(model, r_cm, np.zeros_like(r_cm))
        anisotropy = np.interp(r_cm, model.factor_r_cm, model.factor)
    else:
        cosine = np.minimum(np.abs(np.asarray(cos_theta, dtype=np.float64)), 1.0)
        r_cm, cosine = _outside_capsule(model, *np.broadcast_arrays(r_cm, cosine))
        geometry = geometry_function(model, r_cm, cosine)
        anisotropy = anisotropy_function(model, r_cm, cosine)
    reference = geometry_function(model, np.asarray(_REFERENCE_CM), np.asarray(0.0))
    rate = model.dose_rate_constant * geometry / reference * radial_function(model, r_cm)
    return np.asarray(rate * anisotropy, dtype=np.float64)


def total_dose_gy(
    model: SeedModel, rate_cgy_per_h_per_u: ArrayLike, air_kerma_strength_u: float
) -> FloatArray:
    """Dose until the seed of a permanent implant has decayed wholly: rate x mean life.

    Args:
        model: whose half-life counts.
        rate_cgy_per_h_per_u: of :func:`dose_rate_cgy_per_h_per_u`.
        air_kerma_strength_u: at the time of implantation.

    Returns:
        Gy, in the rate's shape.
    """
    factor = air_kerma_strength_u * model.mean_life_h / _CGY_PER_GY
    return np.asarray(np.asarray(rate_cgy_per_h_per_u, dtype=np.float64) * factor)


def strength_u(model: SeedModel, activity_mci: float) -> float:
    """Air-kerma strength in U of an apparent activity in mCi."""
    return activity_mci * model.u_per_mci


def activity_mci(model: SeedModel, air_kerma_strength_u: float) -> float:
    """Apparent activity in mCi of an air-kerma strength in U."""
    return air_kerma_strength_u / model.u_per_mci


def geometry_function(model: SeedModel, r_cm: FloatArray, cos_theta: FloatArray) -> FloatArray:
    """G_L of the line source, 1 / cm^2 (TG-43U1, equation 4).

    The angle that the line subtends is beta = atan2(L rho, r^2 - L^2 / 4), rho being the distance
    from the axis; G_L = beta / (L rho). This form needs no special case on the axis, where it
    goes over into 1 / (r^2 - L^2 / 4), nor beside the source. It is infinite on the line itself.

    Args:
        model: whose active length counts.
        r_cm: distances from the centre.
        cos_theta: cosines from the axis, within -1 and 1; shape like ``r_cm``.
    """
    length = model.active_length_cm
    across = length * r_cm * np.sqrt((1.0 - cos_theta) * (1.0 + cos_theta))
    along = r_cm**2 - length**2 / 4.0
    with np.errstate(divide="ignore", invalid="ignore"):
        general = np.arctan2(across, along) / across
        ratio = across / along
        on_axis = (1.0 - ratio**2 / 3.0) / along
    is_far = across < _SERIES_BELOW * along
    return np.asarray(np.where(is_far, on_axis, np.where(across > 0.0, general, np.inf)))


def radial_function(model: SeedModel, r_cm: FloatArray) -> FloatArray:
    """g_L: log-linear between the tabulated distances (TG-43U1S1).

    Nearer than the first of them its value; beyond the last a single exponential through the last
    two.
    """
    nodes, logs = model.radial_r_cm, np.log(model.radial)
    inside = np.interp(r_cm, nodes, logs)
    slope = (logs[-1] - logs[-2]) / (nodes[-1] - nodes[-2])
    return np.asarray(np.exp(inside + slope * np.maximum(r_cm - nodes[-1], 0.0)))


def anisotropy_function(model: SeedModel, r_cm: FloatArray, cos_theta: FloatArray) -> FloatArray:
    """F(r, theta): bilinear in distance and angle; beyond the tabulated distances the nearest."""
    theta = np.degrees(np.arccos(np.minimum(np.abs(cos_theta), 1.0)))
    row, up = _between(theta, model.anisotropy_theta_deg)
    column, right = _between(r_cm, model.anisotropy_r_cm)
    table = np.pad(model.anisotropy, ((0, 1), (0, 1)), mode="edge")
    low = table[row, column] * (1.0 - right) + table[row, column + 1] * right
    high = table[row + 1, column] * (1.0 - right) + table[row + 1, column + 1] * right
    return np.asarray(low * (1.0 - up) + high * up)


def _between(values: FloatArray, nodes: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """The node below each value, and the value's share of the way to the next one."""
    place = np.interp(values, nodes, np.arange(nodes.size, dtype=np.float64))
    below = np.floor(place).astype(np.intp)
    return below, place - below


def _outside_capsule(
    model: SeedModel, r_cm: FloatArray, cosine: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Points inside the capsule moved out to its side, at the same height along the axis."""
    along = r_cm * cosine
    from_axis = r_cm * np.sqrt((1.0 - cosine) * (1.0 + cosine))
    is_inside = (from_axis < model.capsule_radius_cm) & (along < model.capsule_length_cm / 2.0)
    moved = np.hypot(along, model.capsule_radius_cm)
    return (
        np.where(is_inside, moved, r_cm),
        np.where(is_inside, along / moved, cosine),
    )
