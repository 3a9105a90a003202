"""The metrics against MONAI and against surface-distance, and how long a case takes.

Two hundred pairs of masks, random and adversarial, by all three; then one 512 x 512 x 130 case of
seven structures by the metrics and by MONAI in turn. surface-distance is no dependency of the
project: ``pip install --no-deps surface-distance==0.1`` into the environment that runs this.

    scripts/measure/run metric_agreement --output DIR
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import surface_distance
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)
from monai.metrics.confusion_matrix import compute_confusion_matrix_metric, get_confusion_matrix
from monai.metrics.meandice import compute_dice
from numpy.typing import NDArray
from scipy import ndimage
from scripts.measure.tables import markdown, write_csv

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES
from parotid_brachy.lib.evaluation.metrics import (
    ReachCut,
    Status,
    StructureMetrics,
    score_structures,
)
from parotid_brachy.lib.evaluation.surfaces import distances_mm, surface_elements
from parotid_brachy.lib.imaging.volume import Grid

Mask = NDArray[np.bool_]
Values = dict[str, float | None]

_STRAIGHT: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_TOLERANCE: Final = 1e-4
_ROUNDING_MM: Final = 1e-5
_KINDS: Final = (
    "random",
    "anisotropic",
    "oblique",
    "touching the border",
    "one voxel",
    "holes",
    "far apart",
    "equal",
    "one empty",
    "both empty",
)


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two masks on a grid."""

    kind: str
    reference: Mask
    prediction: Mask
    grid: Grid


def pairs(count: int, seed: int) -> Iterator[Pair]:
    """Pairs of every kind in turn."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        shape = tuple(int(n) for n in rng.integers(14, 40, 3))
        spacing = tuple(float(s) for s in np.round(rng.uniform(0.5, 1.5, 3), 3))
        if kind in ("anisotropic", "holes"):
            spacing = (0.45, 0.45, float(rng.choice((2.0, 3.0, 5.0))))
        first, second = _blob(shape, rng), _blob(shape, rng)
        if number % 4 < 2:
            second = first ^ (_blob(shape, rng) & (rng.random(shape) < 0.2))
        direction = _turned(rng) if kind == "oblique" else _STRAIGHT
        grid = Grid(shape[::-1], spacing, (10.0, -20.0, 30.0), direction)
        yield Pair(kind, *_made(kind, first, second, rng), grid)


def _made(kind: str, first: Mask, second: Mask, rng: np.random.Generator) -> tuple[Mask, Mask]:
    """What is adversarial about a kind, done to two random masks."""
    empty = np.zeros_like(first)
    if kind == "touching the border":
        first[:3, :, :5] = second[:2, :, :6] = first[-1] = True
    if kind == "one voxel":
        one = empty.copy()
        one[tuple(rng.integers(0, first.shape))] = True
        return one, second if rng.random() < 0.5 else np.roll(one, 2, axis=2)
    if kind == "holes":
        return first & (rng.random(first.shape) < 0.7), second & (rng.random(first.shape) < 0.8)
    if kind == "far apart":
        near, far = empty.copy(), empty.copy()
        near[1:4, 1:4, 1:3], far[-4:-2, -4:-1, -5:-1] = True, True
        return near, far
    if kind == "equal":
        return first, first.copy()
    if kind == "one empty":
        return (first, empty) if rng.random() < 0.5 else (empty, second)
    return (empty, empty.copy()) if kind == "both empty" else (first, second)


def _blob(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    """The part of smoothed noise round the middle that lies above a quantile."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 2.5)
    noise /= noise.std()
    centre = [(size - 1) / 2 for size in shape]
    away = sum(
        ((axis - c) / size) ** 2
        for axis, c, size in zip(np.indices(shape), centre, shape, strict=True)
    )
    field = noise - 14 * away
    return np.asarray(field > np.quantile(field, rng.uniform(0.7, 0.95)))


def _turned(rng: np.random.Generator) -> tuple[float, ...]:
    matrix, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return tuple(float(value) for value in matrix.ravel())


def ours(pair: Pair) -> StructureMetrics:
    """The project's metrics of a pair."""
    first, second = (
        np.where(mask, np.uint8(GLAND.value), np.uint8(0))
        for mask in (pair.reference, pair.prediction)
    )
    return score_structures(first, second, pair.grid, [GLAND], reach_cut=ReachCut.NONE)[GLAND]


def by_monai(reference: Mask, prediction: Mask, grid: Grid) -> Values:
    """MONAI's."""
    second, first = (torch.from_numpy(m[None, None]) for m in (prediction, reference))
    spacing = list(grid.spacing_kji_mm)
    given: dict[str, Any] = {"include_background": True, "spacing": spacing}
    counts = get_confusion_matrix(second.float(), first.float(), include_background=True)
    found = {
        "dsc": compute_dice(second, first, ignore_empty=False),
        "jaccard": compute_iou(second, first, ignore_empty=False),
        "hd95_mm": compute_hausdorff_distance(second, first, percentile=95, **given),
        "assd_mm": compute_average_surface_distance(second, first, symmetric=True, **given),
        "precision": compute_confusion_matrix_metric("precision", counts),
        "recall": compute_confusion_matrix_metric("recall", counts),
    }
    for tolerance in (1, 2):
        found[f"surface_dsc_{tolerance}mm"] = compute_surface_dice(
            second, first, [float(tolerance)], use_subvoxels=True, **given
        )
    return {name: _number(value) for name, value in found.items()}


def by_surface_distance(pair: Pair) -> Values:
    """surface-distance's, whose distances are area weighted and between surface elements."""
    found = surface_distance.compute_surface_distances(
        pair.reference, pair.prediction, pair.grid.spacing_kji_mm
    )
    there, back = surface_distance.compute_average_surface_distance(found)
    values = {
        "dsc": surface_distance.compute_dice_coefficient(pair.reference, pair.prediction),
        "hd95_mm": surface_distance.compute_robust_hausdorff(found, 95),
        "assd_mm": (there + back) / 2,
        "surface_dsc_1mm": surface_distance.compute_surface_dice_at_tolerance(found, 1.0),
        "surface_dsc_2mm": surface_distance.compute_surface_dice_at_tolerance(found, 2.0),
    }
    return {name: _number(value) for name, value in values.items()}


def on_its_elements(pair: Pair) -> Values:
    """Distances as surface-distance defines them, of the project's surface elements."""
    whole = (slice(None), slice(None), slice(None))
    box = tuple(slice(0, size) for size in pair.reference[whole].shape)
    spacing = pair.grid.spacing_kji_mm
    first, second = (
        surface_elements(mask, None, (box[0], box[1], box[2]), spacing)
        for mask in (pair.reference, pair.prediction)
    )
    percentiles, means = [], []
    for origin, target in ((first, second), (second, first)):
        distances = distances_mm(origin.cells, target.cells, spacing)
        order = np.argsort(distances, kind="stable")
        share = np.cumsum(origin.areas_mm2[order]) / origin.areas_mm2.sum()
        place = min(int(np.searchsorted(share, 0.95)), len(share) - 1)
        percentiles.append(float(distances[order][place]))
        means.append(float(np.average(distances, weights=origin.areas_mm2)))
    return {"hd95_mm": max(percentiles), "assd_mm": sum(means) / 2}


def at_the_tolerance(pair: Pair, tolerance_mm: float) -> tuple[float, float]:
    """Surface DSC a hair below and a hair above a tolerance."""
    box = tuple(slice(0, size) for size in pair.reference.shape)
    spacing = pair.grid.spacing_kji_mm
    first, second = (
        surface_elements(mask, None, (box[0], box[1], box[2]), spacing)
        for mask in (pair.reference, pair.prediction)
    )
    distances = np.concatenate(
        [
            distances_mm(first.cells, second.cells, spacing),
            distances_mm(second.cells, first.cells, spacing),
        ]
    )
    areas = np.concatenate([first.areas_mm2, second.areas_mm2])
    below, above = (
        float(areas[distances <= tolerance_mm + hair].sum() / areas.sum())
        for hair in (-_ROUNDING_MM, _ROUNDING_MM)
    )
    return below, above


def _number(value: Any) -> float | None:
    """None for what a package calls nan or infinite."""
    number = float(value[0] if isinstance(value, list) else value)
    return number if math.isfinite(number) else None


def why(pair: Pair, own: StructureMetrics, name: str, package: str, theirs: float | None) -> str:
    """Why a package's value is another, as far as a computation shows it; empty: not known."""
    if own.status is not Status.SCORED:
        return f"{own.status.value}: {package} has its own value for an empty mask"
    if name.startswith("surface_dsc") and theirs is not None:
        below, above = at_the_tolerance(pair, 1.0 if name.endswith("1mm") else 2.0)
        if below - _TOLERANCE <= theirs <= above + _TOLERANCE:
            return "elements exactly the tolerance apart, which rounding puts on either side"
    if package == "surface-distance" and name in ("hd95_mm", "assd_mm") and theirs is not None:
        same = on_its_elements(pair)[name]
        if same is not None and abs(same - theirs) <= _TOLERANCE:
            return "between surface elements, weighted by area: recomputed so, equal"
    return ""


def compared(count: int, seed: int) -> list[dict[str, Any]]:
    """Every metric of every pair by each package, and why it differs where it does."""
    rows = []
    for number, pair in enumerate(pairs(count, seed)):
        own = ours(pair)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            by_package = {
                "MONAI": by_monai(pair.reference, pair.prediction, pair.grid),
                "surface-distance": by_surface_distance(pair),
            }
        for package, values in by_package.items():
            for name, theirs in values.items():
                value = getattr(own, name)
                is_equal = (value is None) == (theirs is None)
                gap = None
                if value is not None and theirs is not None:
                    gap = abs(value - theirs)
                    is_equal = gap <= _TOLERANCE
                reason = "" if is_equal else why(pair, own, name, package, theirs)
                rows.append(
                    {
                        "pair": number,
                        "kind": pair.kind,
                        "package": package,
                        "metric": name,
                        "ours": value,
                        "theirs": theirs,
                        "difference": gap,
                        "is_equal": is_equal,
                        "why": reason,
                    }
                )
    return rows


def summed_up(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By package and metric: the largest difference, how many are beyond 1e-4 and why."""
    found = []
    for package, name in dict.fromkeys((row["package"], row["metric"]) for row in rows):
        own = [row for row in rows if (row["package"], row["metric"]) == (package, name)]
        gaps = [row["difference"] for row in own if row["difference"] is not None]
        odd = [row for row in own if not row["is_equal"]]
        reasons = dict.fromkeys(row["why"] or "NOT EXPLAINED" for row in odd)
        counted = [(sum((r["why"] or "NOT EXPLAINED") == why for r in odd), why) for why in reasons]
        equal = [r["difference"] for r in own if r["is_equal"] and r["difference"] is not None]
        found.append(
            {
                "package": package,
                "metric": name,
                "pairs": len(own),
                "largest difference": f"{max(gaps, default=0.0):.2g}",
                "largest that is equal": f"{max(equal, default=0.0):.1e}",
                "beyond 1e-4 or undefined": len(odd),
                "why": "; ".join(f"{count}: {reason}" for count, reason in counted),
            }
        )
    return found


def large_case(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Grid]:
    """Two maps of 512 x 512 x 130 voxels with seven structures of the size of a head's."""
    grid = Grid((512, 512, 130), (0.49, 0.49, 2.0), (0.0, 0.0, 0.0), _STRAIGHT)
    rng = np.random.default_rng(seed)
    maps = []
    for _ in range(2):
        labels = np.zeros(grid.shape_kji, np.uint8)
        for structure in STRUCTURES:
            middle = np.array((60.0, 250.0, 330.0)) + 18 * np.array(
                ((structure.value % 3 - 1) / 3, structure.value % 2 * 3 - 1.5, structure.value - 4)
            )
            middle += rng.normal(0.0, (0.5, 2.0, 2.0))
            radii = np.array((9.0, 28.0, 24.0)) * (1.3 if structure is GLAND else 0.8)
            k, j, i = (
                slice(int(m - r) - 1, int(m + r) + 2) for m, r in zip(middle, radii, strict=True)
            )
            index = np.mgrid[k, j, i]
            inside = sum(
                ((axis - m) / r) ** 2 for axis, m, r in zip(index, middle, radii, strict=True)
            )
            labels[k, j, i][np.asarray(inside <= 1)] = structure.value
        maps.append(labels)
    return maps[0], maps[1], grid


def timed(repeats: int, seed: int) -> list[dict[str, Any]]:
    """Seconds for the large case, in turn: all metrics, and the Hausdorff distance alone."""
    first, second, grid = large_case(seed)

    def own() -> None:
        score_structures(first, second, grid, STRUCTURES)

    def monai() -> None:
        for structure in STRUCTURES:
            by_monai(first == structure.value, second == structure.value, grid)

    def monai_hd95() -> None:
        for structure in STRUCTURES:
            masks = [torch.from_numpy((m == structure.value)[None, None]) for m in (second, first)]
            compute_hausdorff_distance(
                *masks, include_background=True, percentile=95, spacing=list(grid.spacing_kji_mm)
            )

    runs: dict[str, Callable[[], None]] = {
        "all metrics, cut at reach": own,
        "MONAI, the same metrics": monai,
        "MONAI, HD95 alone": monai_hd95,
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    base = statistics.median(seconds["all metrics, cut at reach"])
    return [
        {
            "what": name,
            "median s": statistics.median(values),
            "fastest s": min(values),
            "slowest s": max(values),
            "ratio of medians": statistics.median(values) / base,
        }
        for name, values in seconds.items()
    ]


def main() -> None:
    """Runs both and writes their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = compared(options.pairs, options.seed)
    write_csv(options.output / "metric_agreement.csv", rows)
    report = markdown(summed_up(rows)) + "\n" + markdown(timed(options.repeats, options.seed))
    (options.output / "metric_agreement.md").write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
